"""Muon in float32 beside torch's, which computes in bfloat16."""

import torch

from benchmarks.training.muon import Muon32, orthogonal


def test_singular_values_come_close_to_one():
    for shape in ((16, 48), (48, 16), (32, 32)):
        matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
        values = torch.linalg.svdvals(orthogonal(matrix))
        assert values.min() > 0.3
        assert values.max() < 1.3


def test_it_steps_like_torch():
    random = torch.Generator().manual_seed(2)
    ours = torch.nn.Parameter(torch.randn(24, 12, generator=random))
    theirs = torch.nn.Parameter(ours.detach().clone())
    left = torch.nn.Parameter(torch.ones(2, 2))
    one = Muon32([{"params": [ours, left], "lr": 1e-2}], weight_decay=0.02)
    other = torch.optim.Muon(
        [{"params": [theirs], "lr": 1e-2}], weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
    )
    for _ in range(4):
        gradient = torch.randn(24, 12, generator=random)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        one.step()
        other.step()
    assert torch.allclose(ours, theirs, atol=1e-3)
    assert (ours != theirs).any()
    assert torch.equal(left, torch.ones(2, 2))
