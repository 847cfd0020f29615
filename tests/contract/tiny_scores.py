"""Tiny score models in the files of their authors, and what each must say, computed by hand.

The names, the shapes' relations and the arithmetic are written down here a second time, from the
authors' code (THUDM/ImageReward c1392c6, tgxs002/HPSv2 866735e), with plain torch and none of
transformers' models. Weights are random.
"""

from __future__ import annotations

import atexit
from functools import cache
from math import sqrt
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from typing import Any

import numpy as np
import tiny_pairs
import torch
from PIL import Image
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

FILES = {
    "imagereward": "ImageReward.pt",
    "hps": "HPS_v2.1_compressed.pt",
    "aesthetics": "aesthetic-model.pth",
}
PLACES = ((0, 40), (2, 24), (4, 16), (6, 8), (7, 1))
"""Of a stack of linear layers: where each stands, and how many numbers it gives."""
WIDE, TEXT, LAYERS = 128, 64, 2
HPS_WIDE, HPS_TEXT, HPS_SIDE, HPS_PATCH = 160, 128, 28, 14
MEANS = torch.tensor([0.48145466, 0.4578275, 0.40821073]).reshape(3, 1, 1)
DEVIATIONS = torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(3, 1, 1)


def linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def image_reward_shapes(words: int) -> dict[str, tuple[int, ...]]:
    """Every name of `ImageReward.state_dict()`."""
    eye, reader = "blip.visual_encoder", "blip.text_encoder"
    shapes: dict[str, tuple[int, ...]] = {
        f"{eye}.cls_token": (1, 1, WIDE),
        f"{eye}.pos_embed": (1, 5, WIDE),
        f"{eye}.patch_embed.proj.weight": (WIDE, 3, 16, 16),
        f"{eye}.patch_embed.proj.bias": (WIDE,),
        **norm(f"{eye}.norm", WIDE),
        f"{reader}.embeddings.position_ids": (1, 512),
        f"{reader}.embeddings.word_embeddings.weight": (words, TEXT),
        f"{reader}.embeddings.position_embeddings.weight": (512, TEXT),
        **norm(f"{reader}.embeddings.LayerNorm", TEXT),
        **linear("blip.vision_proj", 256, WIDE),
        **linear("blip.text_proj", 256, TEXT),
    }
    for n in range(LAYERS):
        block, layer = f"{eye}.blocks.{n}", f"{reader}.encoder.layer.{n}"
        shapes |= norm(f"{block}.norm1", WIDE) | norm(f"{block}.norm2", WIDE)
        shapes |= linear(f"{block}.attn.qkv", 3 * WIDE, WIDE)
        shapes |= linear(f"{block}.attn.proj", WIDE, WIDE)
        shapes |= linear(f"{block}.mlp.fc1", 2 * WIDE, WIDE)
        shapes |= linear(f"{block}.mlp.fc2", WIDE, 2 * WIDE)
        for part, seen in (("attention", TEXT), ("crossattention", WIDE)):
            shapes |= linear(f"{layer}.{part}.self.query", TEXT, TEXT)
            shapes |= linear(f"{layer}.{part}.self.key", TEXT, seen)
            shapes |= linear(f"{layer}.{part}.self.value", TEXT, seen)
            shapes |= linear(f"{layer}.{part}.output.dense", TEXT, TEXT)
            shapes |= norm(f"{layer}.{part}.output.LayerNorm", TEXT)
        shapes |= linear(f"{layer}.intermediate.dense", 2 * TEXT, TEXT)
        shapes |= linear(f"{layer}.output.dense", TEXT, 2 * TEXT)
        shapes |= norm(f"{layer}.output.LayerNorm", TEXT)
    return shapes | stack("mlp.layers", TEXT)


def stack(name: str, into: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for place, out in PLACES:
        shapes |= linear(f"{name}.{place}", out, into)
        into = out
    return shapes


def hps_shapes(words: int) -> dict[str, tuple[int, ...]]:
    """Every name of open_clip's `CLIP.state_dict()`, which HPS's file has under `state_dict`."""
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (77, HPS_TEXT),
        "text_projection": (HPS_TEXT, 48),
        "logit_scale": (),
        "visual.class_embedding": (HPS_WIDE,),
        "visual.positional_embedding": (5, HPS_WIDE),
        "visual.proj": (HPS_WIDE, 48),
        "visual.conv1.weight": (HPS_WIDE, 3, HPS_PATCH, HPS_PATCH),
        "token_embedding.weight": (words, HPS_TEXT),
        **norm("visual.ln_pre", HPS_WIDE),
        **norm("visual.ln_post", HPS_WIDE),
        **norm("ln_final", HPS_TEXT),
    }
    for tower, width in (("visual.transformer", HPS_WIDE), ("transformer", HPS_TEXT)):
        for n in range(LAYERS):
            block = f"{tower}.resblocks.{n}"
            shapes |= norm(f"{block}.ln_1", width) | norm(f"{block}.ln_2", width)
            shapes[f"{block}.attn.in_proj_weight"] = (3 * width, width)
            shapes[f"{block}.attn.in_proj_bias"] = (3 * width,)
            shapes |= linear(f"{block}.attn.out_proj", width, width)
            shapes |= linear(f"{block}.mlp.c_fc", 2 * width, width)
            shapes |= linear(f"{block}.mlp.c_proj", width, 2 * width)
    return shapes


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Random numbers of a size at which two pictures, and two texts, differ visibly."""
    made = torch.Generator().manual_seed(11)
    weights = {}
    for name, shape in shapes.items():
        if name.endswith("position_ids"):
            weights[name] = torch.arange(shape[1]).reshape(shape)
            continue
        numbers = torch.randn(shape, generator=made)
        scale = 1.4 / sqrt(shape[-1]) if len(shape) == 2 else 0.1
        whole = 1.0 if len(shape) == 1 and name.endswith("weight") else 0.0
        weights[name] = numbers * scale + whole
    return weights


def build_blip(folder: Path) -> None:
    """BLIP with a head for matching, as transformers saves it."""
    import transformers as t

    tokenizer = tiny_pairs.bert_tokenizer()
    tower = {**tiny_pairs.TOWER, "num_hidden_layers": LAYERS}
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "bos_token_id": 2,
            "sep_token_id": 3, "pad_token_id": 0}  # fmt: skip
    config = t.BlipConfig(
        text_config={**tower, **text},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        image_text_hidden_size=16,
    )
    torch.manual_seed(5)
    model = t.BlipForImageTextRetrieval(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.25)
    model.save_pretrained(folder)
    images = t.BlipImageProcessorPil(size={"height": 32, "width": 32})
    t.BlipProcessor(images, tokenizer).save_pretrained(folder)


@cache
def folder_of(kind: str) -> Path:
    """The folder of a tiny score model, built on first use; tests that change files copy it."""
    folder = Path(mkdtemp(prefix=f"{kind}-"))
    atexit.register(rmtree, folder)
    if kind == "blip-itm":
        build_blip(folder)
    elif kind == "aesthetics":
        copytree(tiny_pairs.folder_of("clip"), folder, dirs_exist_ok=True)
        torch.save(filled(stack("layers", 24)), folder / FILES[kind])
    elif kind == "imagereward":
        tokenizer = tiny_pairs.bert_tokenizer()
        torch.save(filled(image_reward_shapes(len(tokenizer))), folder / FILES[kind])
        tokenizer.save_pretrained(folder)
    else:
        tokenizer = tiny_pairs.clip_tokenizer(tiny_pairs.CLIP_LIMIT)
        content = {"epoch": 1, "name": "tiny", "state_dict": filled(hps_shapes(len(tokenizer)))}
        torch.save(content, folder / FILES[kind])
        tokenizer.save_pretrained(folder)
    return folder


# --- by hand -------------------------------------------------------------------------------------

W = dict[str, torch.Tensor]


def dense(w: W, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def normed(w: W, name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)


def attended(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, head: int, mask: Any = 0.0
) -> torch.Tensor:
    """Attention of rows (tokens, width), in heads of so many numbers."""
    q, k, v = (x.reshape(len(x), -1, head).transpose(0, 1) for x in (q, k, v))
    share = (q @ k.transpose(1, 2) / sqrt(head) + mask).softmax(-1)
    return (share @ v).transpose(0, 1).flatten(1)


def middle(pixels: np.ndarray[Any, Any], side: int) -> torch.Tensor:
    """Shorter edge to the side, the middle cut out: torchvision's Resize and CenterCrop."""
    height, width = pixels.shape[:2]
    wide = side if width <= height else int(side * width / height)
    high = side if height <= width else int(side * height / width)
    image = np.asarray(Image.fromarray(pixels).resize((wide, high), Image.Resampling.BICUBIC))
    top, left = round((high - side) / 2), round((wide - side) / 2)
    square = image[top : top + side, left : left + side]
    return (torch.tensor(square).permute(2, 0, 1) / 255 - MEANS) / DEVIATIONS


def image_reward(w: W, pixels: np.ndarray[Any, Any], ids: list[int]) -> float:
    eye, reader = "blip.visual_encoder", "blip.text_encoder"
    name = f"{eye}.patch_embed.proj"
    x = F.conv2d(middle(pixels, 32), w[f"{name}.weight"], w[f"{name}.bias"], 16).flatten(1).T
    x = torch.cat([w[f"{eye}.cls_token"][0], x]) + w[f"{eye}.pos_embed"][0]
    for n in range(LAYERS):
        block = f"{eye}.blocks.{n}"
        parts = dense(w, f"{block}.attn.qkv", normed(w, f"{block}.norm1", x, 1e-6)).chunk(3, -1)
        x = x + dense(w, f"{block}.attn.proj", attended(*parts, 64))
        inner = dense(w, f"{block}.mlp.fc1", normed(w, f"{block}.norm2", x, 1e-6))
        x = x + dense(w, f"{block}.mlp.fc2", F.gelu(inner))
    x = normed(w, f"{eye}.norm", x, 1e-6)
    t = w[f"{reader}.embeddings.word_embeddings.weight"][ids]
    t = t + w[f"{reader}.embeddings.position_embeddings.weight"][: len(ids)]
    t = normed(w, f"{reader}.embeddings.LayerNorm", t, 1e-12)
    for n in range(LAYERS):
        layer = f"{reader}.encoder.layer.{n}"
        for part in ("attention", "crossattention"):
            seen = t if part == "attention" else x
            q = dense(w, f"{layer}.{part}.self.query", t)
            k, v = (dense(w, f"{layer}.{part}.self.{side}", seen) for side in ("key", "value"))
            out = dense(w, f"{layer}.{part}.output.dense", attended(q, k, v, 64))
            t = normed(w, f"{layer}.{part}.output.LayerNorm", t + out, 1e-12)
        out = dense(w, f"{layer}.output.dense", F.gelu(dense(w, f"{layer}.intermediate.dense", t)))
        t = normed(w, f"{layer}.output.LayerNorm", t + out, 1e-12)
    score = t[0]
    for place in (0, 2, 4, 6, 7):
        score = dense(w, f"mlp.layers.{place}", score)
    return float((score[0] - 0.16717362830052426) / 1.0333394966054072)


def hps_layers(w: W, tower: str, x: torch.Tensor, head: int, mask: Any = 0.0) -> torch.Tensor:
    for n in range(LAYERS):
        block = f"{tower}.resblocks.{n}"
        y = normed(w, f"{block}.ln_1", x, 1e-5)
        parts = y @ w[f"{block}.attn.in_proj_weight"].T + w[f"{block}.attn.in_proj_bias"]
        x = x + dense(w, f"{block}.attn.out_proj", attended(*parts.chunk(3, -1), head, mask))
        y = normed(w, f"{block}.ln_2", x, 1e-5)
        x = x + dense(w, f"{block}.mlp.c_proj", F.gelu(dense(w, f"{block}.mlp.c_fc", y)))
    return x


def hps(w: W, pixels: np.ndarray[Any, Any], ids: list[int]) -> float:
    height, width = pixels.shape[:2]
    x = torch.tensor(pixels).permute(2, 0, 1) / 255
    high, wide = (round(edge * HPS_SIDE / max(height, width)) for edge in (height, width))
    x = F.interpolate(x[None], (high, wide), mode="bicubic", antialias=True)[0]
    square = torch.zeros(3, HPS_SIDE, HPS_SIDE)
    top, left = (HPS_SIDE - high) // 2, (HPS_SIDE - wide) // 2
    square[:, top : top + high, left : left + wide] = x
    x = F.conv2d((square - MEANS) / DEVIATIONS, w["visual.conv1.weight"], stride=HPS_PATCH)
    x = torch.cat([w["visual.class_embedding"][None], x.flatten(1).T])
    x = normed(w, "visual.ln_pre", x + w["visual.positional_embedding"], 1e-5)
    x = hps_layers(w, "visual.transformer", x, 80)
    x = normed(w, "visual.ln_post", x[0], 1e-5) @ w["visual.proj"]
    t = w["token_embedding.weight"][ids] + w["positional_embedding"][: len(ids)]
    later = torch.full((len(ids), len(ids)), -torch.inf).triu(1)
    t = hps_layers(w, "transformer", t, 64, later)
    t = normed(w, "ln_final", t[-1], 1e-5) @ w["text_projection"]
    return float(F.cosine_similarity(x, t, dim=0))


def aesthetics(folder: Path, w: W, pixels: np.ndarray[Any, Any]) -> float:
    """The layers on the vector that transformers' CLIP has of a picture."""
    from transformers import AutoProcessor, CLIPModel

    model = CLIPModel.from_pretrained(folder).eval()
    images = AutoProcessor.from_pretrained(folder).image_processor
    with torch.inference_mode():
        inputs = images([Image.fromarray(pixels)], return_tensors="pt")
        score = F.normalize(model.get_image_features(**inputs).pooler_output[0], dim=0)
        for place, _ in PLACES:
            score = dense(w, f"layers.{place}", score)
    return float(score)


def blip_itm(folder: Path, pixels: np.ndarray[Any, Any], text: str) -> float:
    """What transformers' own class says of one pair."""
    from transformers import AutoProcessor, BlipForImageTextRetrieval

    model = BlipForImageTextRetrieval.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(images=Image.fromarray(pixels), text=text, return_tensors="pt")
    with torch.inference_mode():
        return float(model(**inputs).itm_score.softmax(-1)[0, 1])


def by_hand(kind: str, pixels: np.ndarray[Any, Any], text: str) -> float:
    """What the model in `folder_of(kind)` has to say of a picture and a text."""
    from transformers import AutoTokenizer

    folder = folder_of(kind)
    if kind == "blip-itm":
        return blip_itm(folder, pixels, text)
    content = torch.load(folder / FILES[kind], weights_only=True)
    if kind == "aesthetics":
        return aesthetics(folder, content, pixels)
    ids = list(AutoTokenizer.from_pretrained(folder)(text)["input_ids"])
    if kind == "hps":
        return hps(content["state_dict"], pixels, ids)
    return image_reward(content, pixels, ids)
