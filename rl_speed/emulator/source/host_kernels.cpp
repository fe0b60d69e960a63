// The kernels as loops on the CPU: what they compute can be tested where there is no GPU.
#define HOST_KERNELS
#include "kernels.cu"

extern "C" {

void kernels_sizes(i32* sizes) {
    write_sizes(sizes);
    sizes[7] = sizeof(Arrays);
}

void kernels_axis(Axis* axis, i32 pixels, i32 cells, i32 few_widths) { make_axis(*axis, pixels, cells, few_widths != 0); }

void kernels_seed(const Arrays* a, const u32* seeds, u8* observation, StepResult* results) {
    for (i32 index = 0; index < a->consoles; index++) {
        seed_console(*a, index, seeds[index], results);
        for (i32 part = 0; part < 2; part++) show_console(*a, index, observation, 0, 1, part == 1);
    }
}

void kernels_step(const Arrays* a, const long long* actions, u8* observation, u8* final_observation, StepResult* results) {
    for (i32 index = 0; index < a->consoles; index++) {
        step_console(*a, index, (i32)actions[index], results, true);
        for (i32 part = 0; part < 2; part++) show_console(*a, index, observation, 0, 1, part == 1);
        if (!(results[index].terminated || results[index].truncated)) continue;
        for (i32 k = 0; k < a->settings->rows * a->settings->width; k++)
            final_observation[(u64)index * a->settings->rows * a->settings->width + k] =
                observation[(u64)index * a->settings->rows * a->settings->width + k];
        start_console(*a, index);
        results[index].lives = lives(a->console[index]);
        for (i32 part = 0; part < 2; part++) show_console(*a, index, observation, 0, 1, part == 1);
    }
}
}
