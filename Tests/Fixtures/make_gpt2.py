"""Writes gpt2-*.safetensors: the weights of one small GPT-2 in the layouts that files of it have, for GPT2WeightTests.

  gpt2-head.safetensors      GPT2LMHeadModel by transformers' save_pretrained: prefix `transformer.`, no lm_head.weight
  gpt2-body.safetensors      the same without the prefix, with the mask buffers of the published files, as its body is
                             saved; in bfloat16
  gpt2-nanogpt.safetensors   the same under nanoGPT's names: matrices transposed, with lm_head.weight as a copy; in
                             float16
  gpt2-outputs.safetensors   tokens [2, context], and the logits [2, context, vocabulary] that transformers computes
                             from them with the float32 weights

2 layers, 2 heads, width 8, vocabulary 11, context 6. All weights, the biases too, are multiples of 1/64 of at most 1 in
size, which bfloat16 and float16 hold exactly, so that all files have the same values.

Needs torch, transformers and safetensors: pip install torch "transformers<5" safetensors
Run: python Tests/Fixtures/make_gpt2.py
"""

import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

FOLDER = pathlib.Path(__file__).parent
MATRICES = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")

torch.manual_seed(1)
config = GPT2Config(
    vocab_size=11, n_positions=6, n_embd=8, n_layer=2, n_head=2, activation_function="gelu", tie_word_embeddings=True,
    bos_token_id=0, eos_token_id=0)
model = GPT2LMHeadModel(config).eval()
with torch.no_grad():
    for parameter in model.parameters():
        parameter.copy_(torch.randint(-64, 65, parameter.shape) / 64)

with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    shutil.copy(f"{folder}/model.safetensors", FOLDER / "gpt2-head.safetensors")
head = load_file(FOLDER / "gpt2-head.safetensors")
assert "lm_head.weight" not in head

body = {name.removeprefix("transformer."): value.to(torch.bfloat16) for name, value in head.items()}
for layer in range(config.n_layer):
    # Published files have masks of several types.
    mask = torch.tril(torch.ones(config.n_positions, config.n_positions)).to((torch.float32, torch.bool)[layer])
    body[f"h.{layer}.attn.bias"] = mask.view(1, 1, *mask.shape).clone()
    body[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
save_file(body, FOLDER / "gpt2-body.safetensors")

nano = {
    name: (value.T if name.endswith(MATRICES) else value).contiguous().to(torch.float16) for name, value in head.items()
}
nano["lm_head.weight"] = nano["transformer.wte.weight"].clone()
save_file(nano, FOLDER / "gpt2-nanogpt.safetensors")

tokens = torch.randint(0, config.vocab_size, (2, config.n_positions))
with torch.no_grad():
    logits = model(tokens).logits
save_file({"tokens": tokens.float(), "logits": logits.float()}, FOLDER / "gpt2-outputs.safetensors")
