#!/usr/bin/env bash
# transformers: a CLIP model whose embeddings are not 512 wide cannot be opened as its vision half.
#
# Where: CLIPVisionModelWithProjection.from_pretrained on a folder that CLIPModel.save_pretrained wrote.
# Guess: 16 features, as the whole model has.
# Seen:  an error about mismatched sizes: CLIPModel takes projection_dim from the whole configuration, the vision half takes its
#        own default of 512, which save_pretrained has written beside it. CLIPModel opens the same folder.
# Do:    set vision_config.projection_dim to that of the whole model when loading (or saving).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 numpy==2.4.6
cd "$work" && HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY' 2> /dev/null
import torch
import transformers
from transformers import CLIPConfig, CLIPModel, CLIPVisionModelWithProjection

small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
config = CLIPConfig(text_config=small, vision_config=small | {"image_size": 32, "patch_size": 8}, projection_dim=16)
CLIPModel(config).save_pretrained("clip")
pixels = torch.zeros(1, 3, 32, 32)
print(f"transformers {transformers.__version__}")
whole = CLIPModel.from_pretrained("clip")
print(f"CLIPModel: {whole.visual_projection.out_features} features")
try:
    CLIPVisionModelWithProjection.from_pretrained("clip")
    seen = "opens"
except RuntimeError as error:
    seen = "mismatched sizes" if "mismatched" in str(error) else str(error)
print(f"CLIPVisionModelWithProjection: {seen}")
vision = transformers.CLIPVisionConfig.from_pretrained("clip", projection_dim=16)
width = CLIPVisionModelWithProjection.from_pretrained("clip", config=vision)(pixels).image_embeds.shape[-1]
print(f"CLIPVisionModelWithProjection, projection_dim=16 given: {width} features")
assert (whole.visual_projection.out_features, seen, width) == (16, "mismatched sizes", 16)
PY
