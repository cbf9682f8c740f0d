"""Types that keep every bit that matters: compared with PyTorch's model, and the others with f16."""

FULL = ("f32", "f16", "bf16")
