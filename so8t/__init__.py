"""so8t: Make for fine-tuned models."""
