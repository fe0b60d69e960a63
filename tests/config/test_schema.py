"""Every field says what it is."""


def test_every_field_is_described():
    from rl_speed.config import RunConfig

    for section_name, section in RunConfig.model_fields.items():
        fields = getattr(section.annotation, "model_fields", {})
        for name, field in fields.items():
            assert field.description, f"{section_name}.{name}"
