"""ImageReward and HPS v2 as `safejudge` opens them, beside their authors' own code.

Both are given the same random weights, in the sizes of the released models but for the vocabulary
(`--tiny`: in small ones), and the same drawn pictures and texts. The authors' repositories are read
from clones (THUDM/ImageReward and tgxs002/HPSv2, both Apache-2.0) and not shipped. ImageReward's
code is of an older transformers: three functions that moved are put where it looks for them, and
its checkpointing, which does nothing here, is left out. Of texts both are given the same tokens.
Needs timm 0.6 and ftfy.

`python benchmarks/score_models.py IMAGEREWARD-CLONE HPSV2-CLONE VOCABULARIES`

`VOCABULARIES` is a folder with `bert/` and `clip/`, each a tokenizer of transformers; those of the
tests are made by `tests/contract/tiny_scores.py`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from measure import record
from PIL import Image

from safejudge.engines.open import open_encoder
from safejudge.types import Picture, Similarity

SHAPES = ((64, 64), (224, 224), (300, 227), (227, 451), (512, 768), (1024, 1024), (37, 90))
TEXTS = ("a dog", "a red square on the floor", "three cats")
WITHIN = 1e-4
Score = Callable[[Image.Image, str], float]


def package(name: str, *folders: Path) -> None:
    """Make a folder importable under a name of ours, without what its `__init__` does."""
    module = types.ModuleType(name)
    module.__path__ = [str(folder) for folder in folders]
    sys.modules[name] = module


def randomise(model: Any, seed: int) -> None:
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 1.2 / parameter.shape[-1] ** 0.5)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.02)


# --- ImageReward ----------------------------------------------------------------------------------


def shim() -> None:
    """Put what moved in transformers where ImageReward's `med.py` looks for it."""
    import transformers  # noqa: PLC0415 - only this benchmark needs the old names
    from transformers import modeling_utils, pytorch_utils  # noqa: PLC0415
    from transformers.utils import ModelOutput  # noqa: PLC0415

    def never(*_: Any) -> None:
        raise RuntimeError("no head of attention is ever pruned here")

    names = ("apply_chunking_to_forward", "prune_linear_layer", "find_pruneable_heads_and_indices")
    for name in names:
        setattr(modeling_utils, name, getattr(pytorch_utils, name, never))
    moved = types.ModuleType("transformers.file_utils")
    vars(moved).update(ModelOutput=ModelOutput)
    sys.modules["transformers.file_utils"] = vars(transformers)["file_utils"] = moved
    unused = types.ModuleType("fairscale.nn.checkpoint.checkpoint_activations")
    vars(unused).update(checkpoint_wrapper=lambda module, *_: module)
    for name in ("fairscale", "fairscale.nn", "fairscale.nn.checkpoint"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules[unused.__name__] = unused


def image_reward(clone: Path, tokenizer: Any, folder: Path, *, tiny: bool) -> Score:
    """Build the authors' model, write its weights, and return how it scores."""
    shim()
    below = clone / "ImageReward"
    package("ir", below)
    package("ir.models", below / "models")
    package("ir.models.BLIP", below / "models/BLIP")
    settings = json.loads((clone / "train/src/config/med_config.json").read_text())
    settings["vocab_size"] = len(tokenizer) + 2  # with the two marks that the authors add
    med, pretrain = (
        importlib.import_module(f"ir.models.BLIP.{x}") for x in ("med", "blip_pretrain")
    )
    med.BertModel.init_weights = lambda _: None
    med.BertModel.get_head_mask = lambda _, __, count: [None] * count
    med.BertModel.invert_attention_mask = lambda _, mask: (1.0 - mask[:, None, None].float()) * -1e4
    med.BertConfig.use_return_dict = property(lambda _: True)
    pretrain.init_tokenizer = lambda: tokenizer
    main = importlib.import_module("ir.ImageReward")
    if tiny:
        vit = importlib.import_module("ir.models.BLIP.vit").VisionTransformer
        small = vit(img_size=224, patch_size=16, embed_dim=128, depth=3, num_heads=2)
        pretrain.create_vit = lambda *_: (small, 128)
        settings |= {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 2}
        whole = main.MLP
        main.MLP = lambda _: whole(128)
    (folder / "med.json").write_text(json.dumps(settings))
    model = main.ImageReward(str(folder / "med.json")).eval()
    randomise(model, 1)
    torch.save(model.state_dict(), folder / "ImageReward.pt")
    return lambda image, text: float(model.score(text, image))


# --- HPS ------------------------------------------------------------------------------------------


def hps(clone: Path, tokenizer: Any, folder: Path, *, tiny: bool) -> Score:
    """Build the authors' model, write its weights, and return how it scores."""
    package("hpsv2_clip", clone / "hpsv2/src/open_clip")
    parts, transform = (importlib.import_module(f"hpsv2_clip.{x}") for x in ("model", "transform"))
    file = clone / "hpsv2/src/open_clip/model_configs/ViT-H-14.json"
    settings = json.loads(file.read_text())
    settings["text_cfg"]["vocab_size"] = len(tokenizer)
    if tiny:
        settings["vision_cfg"] |= {"layers": 3, "width": 160}
        settings["text_cfg"] |= {"layers": 3, "width": 128, "heads": 2}
    model = parts.CLIP(**settings, output_dict=True).eval()
    randomise(model, 2)
    torch.save({"state_dict": model.state_dict()}, folder / "HPS_v2.1_compressed.pt")
    prepare = transform.image_transform(224, is_train=False, resize_longest_max=True)

    def score(image: Image.Image, text: str) -> float:
        ids = tokenizer(text)["input_ids"]
        tokens = torch.tensor([ids + [0] * (77 - len(ids))])  # as the authors' tokenizer pads
        outputs = model(prepare(image)[None], tokens)
        return float(outputs["image_features"] @ outputs["text_features"].T)

    return score


# --- beside each other ----------------------------------------------------------------------------


def compared(kind: str, theirs: Score, folder: Path) -> Iterator[tuple[float, float]]:
    draw = np.random.default_rng(3)
    with torch.no_grad():
        pixels = [draw.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in SHAPES]
        expected = [theirs(Image.fromarray(one), text) for one in pixels for text in TEXTS]
    del theirs  # a model of gigabytes
    encoder = open_encoder(f"{kind}:{folder}", device="cpu", batch_size=4)
    pairs = [Similarity(Picture.of(one), text) for one in pixels for text in TEXTS]
    yield from zip(encoder.similarities(pairs), expected, strict=True)
    encoder.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("image_reward", "hps", "vocabularies"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--tiny", action="store_true", help="small models, for a quick look")
    options = parser.parse_args()
    import transformers  # noqa: PLC0415 - after the arguments are known to be right

    rows, numbers = [], {}
    for kind, build, words, clone in (
        ("imagereward", image_reward, ("bert", "BertTokenizer"), options.image_reward),
        ("hps", hps, ("clip", "CLIPTokenizer"), options.hps),
    ):
        with TemporaryDirectory() as name:
            folder = Path(name)
            kept = options.vocabularies / words[0]
            tokenizer = getattr(transformers, words[1]).from_pretrained(kept)
            tokenizer.save_pretrained(folder)
            pairs = list(compared(kind, build(clone, tokenizer, folder, tiny=options.tiny), folder))
            size = next(folder.glob("*.pt")).stat().st_size
        worst = max(abs(ours - theirs) for ours, theirs in pairs)
        spread = max(theirs for _, theirs in pairs) - min(theirs for _, theirs in pairs)
        numbers[kind] = {"pairs": pairs, "largest_difference": worst, "bytes": size}
        verdict = "same" if worst < WITHIN else "DIFFERENT"
        rows.append(f"| `{kind}:` | {size / 1e9:.2f} GB | {len(pairs)} | {spread:.3f} | "
                    f"{worst:.1e} | {verdict} |")  # fmt: skip
    head = "| model | file | scores | largest less smallest | largest difference | within 1e-4 |\n"
    text = head + "| --- | ---: | ---: | ---: | ---: | --- |\n" + "\n".join(rows)
    record(f"score-models{'-tiny' if options.tiny else ''}", numbers, text)


if __name__ == "__main__":
    main()
