"""File systems made for a test."""

GIB = 1 << 30


def make_root(folder, files):
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{content}\n")
    return folder
