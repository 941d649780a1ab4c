#!/usr/bin/env python3
"""Writes the small checkpoints of tests/fixtures with PyTorch itself, in the layout of fairseq-signals:

    python3 scripts/ref_checkpoints.py tests/fixtures          # writes them
    python3 scripts/ref_checkpoints.py --check OUT.pt IN.pt    # are the tensors of both equal?

Every value is a function of its tensor's name and its index (value() below), which the tests compute
as well. The names and shapes are a scaled-down ECG-FM; the optimizer's state is there, as in the
published files. Command, PyTorch's version and this script's name are in each file under "made_by".
"""
import sys
import zlib
from collections import OrderedDict

import numpy as np
import torch

WIDTH, HIDDEN, DEPTH, HEADS = 16, 32, 2, 2
CONV_LAYERS, CONV_WIDTH, LEADS = 4, 8, 12
POSITION_KERNEL, POSITION_GROUPS = 8, 2
GROUPS, CODES, CODE_WIDTH, FINAL = 2, 5, 4, 8
LABELS = 17
POS_WEIGHT = [36.796317, 0.231449, 14.49034, 3.780268, 1104.575439, 23.01044, 8.897255, 54.976017, 6.66556,
              7.404951, 11.790818, 12.727873, 32.175994, 11.188187, 26.172215, 3.464408, 24.640965]


def value(name, count):
    """(crc32 of the name + index * 2654435761) mod 2^32, scaled to -0.5 .. 0.5"""
    i = np.arange(count, dtype=np.uint64)
    x = (np.uint64(zlib.crc32(name.encode())) + i * np.uint64(2654435761)) % np.uint64(1 << 32)
    return (x.astype(np.float64) / 2.0**32 - 0.5).astype(np.float32)


def tensor(name, *shape):
    return torch.from_numpy(value(name, int(np.prod(shape)))).reshape(shape)


def encoder(parametrized):
    shapes = OrderedDict()
    for i in range(DEPTH):
        p = "encoder.layers.%d." % i
        for n in "kvq":
            shapes[p + "self_attn.%s_proj.weight" % n] = (WIDTH, WIDTH)
            shapes[p + "self_attn.%s_proj.bias" % n] = (WIDTH,)
        shapes[p + "self_attn.out_proj.weight"] = (WIDTH, WIDTH)
        shapes[p + "self_attn.out_proj.bias"] = (WIDTH,)
        shapes[p + "self_attn_layer_norm.weight"] = (WIDTH,)
        shapes[p + "self_attn_layer_norm.bias"] = (WIDTH,)
        shapes[p + "fc1.weight"] = (HIDDEN, WIDTH)
        shapes[p + "fc1.bias"] = (HIDDEN,)
        shapes[p + "fc2.weight"] = (WIDTH, HIDDEN)
        shapes[p + "fc2.bias"] = (WIDTH,)
        shapes[p + "final_layer_norm.weight"] = (WIDTH,)
        shapes[p + "final_layer_norm.bias"] = (WIDTH,)
    shapes["encoder.layer_norm.weight"] = (WIDTH,)
    shapes["encoder.layer_norm.bias"] = (WIDTH,)
    for i in range(CONV_LAYERS):
        shapes["feature_extractor.conv_layers.%d.0.weight" % i] = (CONV_WIDTH, CONV_WIDTH if i else LEADS, 2)
        if i == 0:
            shapes["feature_extractor.conv_layers.0.2.weight"] = (CONV_WIDTH,)
            shapes["feature_extractor.conv_layers.0.2.bias"] = (CONV_WIDTH,)
    shapes["post_extract_proj.weight"] = (WIDTH, CONV_WIDTH)
    shapes["post_extract_proj.bias"] = (WIDTH,)
    shapes["conv_pos.pos_conv.0.bias"] = (WIDTH,)
    g, v = ("parametrizations.weight.original0", "parametrizations.weight.original1") if parametrized else (
        "weight_g", "weight_v")
    shapes["conv_pos.pos_conv.0." + g] = (1, 1, POSITION_KERNEL)
    shapes["conv_pos.pos_conv.0." + v] = (WIDTH, WIDTH // POSITION_GROUPS, POSITION_KERNEL)
    shapes["layer_norm.weight"] = (CONV_WIDTH,)
    shapes["layer_norm.bias"] = (CONV_WIDTH,)
    return shapes


def pretraining():
    return OrderedDict([
        ("quantizer.vars", (1, GROUPS * CODES, CODE_WIDTH)),
        ("quantizer.weight_proj.weight", (GROUPS * CODES, CONV_WIDTH)),
        ("quantizer.weight_proj.bias", (GROUPS * CODES,)),
        ("project_q.weight", (FINAL, GROUPS * CODE_WIDTH)),
        ("project_q.bias", (FINAL,)),
        ("final_proj.weight", (FINAL, WIDTH)),
        ("final_proj.bias", (FINAL,)),
    ])


def model_cfg(name):
    return {
        "_name": name, "all_gather": False, "normalize": False, "filter": False, "data": "/data/manifests",
        "args": None, "encoder_layers": DEPTH, "encoder_embed_dim": WIDTH, "encoder_ffn_embed_dim": HIDDEN,
        "encoder_attention_heads": HEADS, "layer_norm_first": False, "dropout": 0.1, "attention_dropout": 0.1,
        "activation_dropout": 0.0, "encoder_layerdrop": 0.0, "dropout_input": 0.1, "dropout_features": 0.1,
        "apply_mask": True, "mask_length": 10, "mask_prob": 0.65, "mask_selection": "static",
        "extractor_mode": "default", "conv_feature_layers": "[(%d, 2, 2)] * %d" % (CONV_WIDTH, CONV_LAYERS),
        "in_d": LEADS, "conv_bias": False, "feature_grad_mult": 0.1, "conv_pos": POSITION_KERNEL,
        "conv_pos_groups": POSITION_GROUPS,
    }


def checkpoint(model_cfg, criterion, state):
    cfg = {
        "common": {"seed": 1, "fp16": False}, "common_eval": {}, "distributed_training": {}, "dataset": {},
        "optimization": {"lr": [5e-05], "max_epoch": 200}, "checkpoint": {"save_dir": "checkpoints"},
        "model": model_cfg,
        "task": {"_name": "ecg_pretraining", "data": "/data/manifests", "sample_rate": 500, "normalize": False,
                 "filter": False},
        "criterion": criterion, "lr_scheduler": {"_name": "fixed"}, "optimizer": {"_name": "adam"},
    }
    moments = {i: {"step": 70000, "exp_avg": t * 0.01, "exp_avg_sq": t * t}
               for i, t in enumerate(state.values())}
    return {
        "args": None, "cfg": cfg, "model": state, "criterion": None,
        "optimizer_history": [{"criterion_name": criterion["_name"], "optimizer_name": "FairseqAdam",
                               "lr_scheduler_state": {"lr": 5e-05}, "num_updates": 70000}],
        "task_state": {},
        "extra_state": {"metrics": OrderedDict([("loss", torch.tensor([1, 2], dtype=torch.int64))]),
                        "train_iterator": {"epoch": 52, "iterations_in_epoch": 0}, "val_loss": 2.5,
                        "big": 1 << 40, "negative": -(1 << 40)},
        "last_optimizer_state": {"state": moments, "param_groups": [{"lr": 5e-05, "betas": (0.9, 0.98)}]},
        "made_by": "scripts/ref_checkpoints.py, PyTorch " + torch.__version__,
    }


def state_of(shapes):
    state = OrderedDict((name, tensor(name, *shape)) for name, shape in shapes.items())
    state._metadata = OrderedDict([("", {"version": 1})])  # as torch's own state_dict() leaves it
    return state


def save(value, path):
    with open(path, "wb") as f:  # through a file object, as fairseq does: the folder is "archive"
        torch.save(value, f)


def write(folder):
    for parametrized in False, True:
        shapes = OrderedDict([("mask_emb", (WIDTH,))])
        shapes.update(encoder(parametrized))
        shapes.update(pretraining())
        cfg = model_cfg("wav2vec2_cmsc")
        cfg.update({"quantize_targets": True, "latent_vars": CODES, "latent_groups": GROUPS, "final_dim": FINAL,
                    "logit_temp": 0.1, "num_negatives": 20, "latent_temp": (2.0, 0.5, 0.999995)})
        save(checkpoint(cfg, {"_name": "wav2vec2_with_cmsc"}, state_of(shapes)),
             "%s/pretrained_%s.pt" % (folder, "parametrized" if parametrized else "gv"))

    shapes = OrderedDict(("encoder." + n, s) for n, s in encoder(False).items())
    shapes["proj.weight"] = (LABELS, WIDTH)
    shapes["proj.bias"] = (LABELS,)
    cfg = model_cfg("ecg_transformer_classifier")
    cfg.update({"num_labels": LABELS, "model_path": "/models/pretrained.pt", "apply_mask": False,
                "final_dropout": 0.0, "feature_grad_mult": 0.0, "dropout": 0.0, "attention_dropout": 0.0,
                "activation_dropout": 0.1, "dropout_input": 0.0})
    criterion = {"_name": "binary_cross_entropy_with_logits", "pos_weight": POS_WEIGHT}
    save(checkpoint(cfg, criterion, state_of(shapes)), folder + "/classifier.pt")

    # types and views: what no checkpoint of fairseq has, but PyTorch can write
    base = tensor("base", 6, 5)
    count = torch.arange(24).reshape(2, 3, 4)
    views = OrderedDict([
        ("whole", base), ("transposed", base.t()), ("part", base[1:4, 2:5]), ("step", base[::2, 1::3]),
        ("turned", count.permute(2, 0, 1)), ("f64", tensor("f64", 7).double()), ("f16", tensor("f16", 9).half()),
        ("bf16", tensor("bf16", 9).bfloat16()), ("i64", torch.tensor([-(1 << 40), 0, 7])),
        ("i32", torch.tensor([-5, 6], dtype=torch.int32)), ("i16", torch.tensor([-5, 6], dtype=torch.int16)),
        ("i8", torch.tensor([-128, 127], dtype=torch.int8)), ("u8", torch.tensor([0, 255], dtype=torch.uint8)),
        ("bool", torch.tensor([True, False, True])), ("scalar", torch.tensor(2.5)),
        ("empty", torch.zeros(0, 3)), ("parameter", torch.nn.Parameter(tensor("parameter", 3))),
        ("half_extremes", torch.tensor([65504.0, 6e-08, -6.1e-05, float("inf")]).half()),
    ])
    save({"views": views, "text": "h\u00e9llo", "tuple": (1, -2, 300, 70000, -70000, 1 << 50), "none": None,
          "flags": [True, False], "real": 0.1, "made_by": "PyTorch " + torch.__version__}, folder + "/views.pt")


def check(ours, theirs):
    # the restricted unpickler of PyTorch 1.13 takes no float, whoever wrote it
    a = torch.load(ours, weights_only=int(torch.__version__.split(".")[0]) >= 2)
    b = torch.load(theirs)
    assert set(a) >= {"args", "cfg", "model", "criterion", "optimizer_history", "extra_state"}, sorted(a)
    assert isinstance(a["model"], OrderedDict) and a["cfg"]["model"]["_name"] == b["cfg"]["model"]["_name"]
    assert set(a["model"]) == set(b["model"]), set(a["model"]) ^ set(b["model"])
    for name, t in b["model"].items():
        assert a["model"][name].dtype == t.dtype and torch.equal(a["model"][name], t), name
    print("equal: %d tensors" % len(b["model"]))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--check":
        check(sys.argv[2], sys.argv[3])
    elif len(sys.argv) == 2:
        write(sys.argv[1])
    else:
        sys.exit(__doc__)
