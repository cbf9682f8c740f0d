"""The tensors that have a row for each token, as every family names them."""

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
