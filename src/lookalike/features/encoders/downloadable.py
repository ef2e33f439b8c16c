"""The encoders whose weights are downloaded on request, as data. docs/encoders.md: which when.

Preprocessing is what each was trained with. No SHA-256 of these files is written down here: the Hub
names it, it is checked after the download, and from then on it is the one that counts (``models``).
"""

from __future__ import annotations

from dataclasses import replace

from lookalike.features.encoders.base import EncoderSpec, HubFile

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"

_RESNET50 = EncoderSpec(
    name="resnet50",
    dim=2048,
    side=224,
    preprocessing="torchvision-256-224-bilinear",
    classes=1000,
    weights=WEIGHTS,
    weights_digest="",
    size_mb=102,
    licence="BSD-3-Clause",
    source="torchvision, ResNet50_Weights.IMAGENET1K_V1 (resnet50-0676ba61.pth)",
    hub=(HubFile("timm/resnet50.tv_in1k", "model.safetensors", WEIGHTS),),
    architecture="resnet50",
)
_RESNET50_V2 = replace(
    _RESNET50,
    name="resnet50-v2",
    preprocessing="torchvision-232-224-bilinear",
    source="torchvision, ResNet50_Weights.IMAGENET1K_V2 (resnet50-11ad3fa6.pth)",
    hub=(HubFile("timm/resnet50.tv2_in1k", "model.safetensors", WEIGHTS),),
)
_INCEPTION_V3 = replace(
    _RESNET50,
    name="inception-v3",
    side=299,
    preprocessing="torchvision-342-299-bilinear",
    size_mb=109,
    source="torchvision, Inception_V3_Weights.IMAGENET1K_V1, from TensorFlow",
    hub=(HubFile("timm/inception_v3.tv_in1k", "model.safetensors", WEIGHTS),),
    architecture="inception-v3",
)
_CLIP = EncoderSpec(
    name="clip-vit-b32",
    dim=512,
    side=224,
    preprocessing="shortest-224-224-bicubic",
    classes=0,
    weights=WEIGHTS,
    weights_digest="",
    size_mb=605,
    licence="MIT",
    source="OpenAI, CLIP ViT-B/32",
    hub=(
        HubFile("timm/vit_base_patch32_clip_224.openai", "open_clip_model.safetensors", WEIGHTS),
        HubFile("openai/clip-vit-base-patch32", "tokenizer.json", TOKENIZER),
    ),
    architecture="clip-vit-b32",
    reads_words=True,
)
_SIGLIP2 = replace(
    _CLIP,
    name="siglip2-base",
    dim=768,
    preprocessing="squashed-224-bilinear",
    size_mb=1500,
    licence="Apache-2.0",
    source="Google, SigLIP 2 base, patch 16, 224 pixels; many languages",
    hub=(
        HubFile("google/siglip2-base-patch16-224", "model.safetensors", WEIGHTS),
        HubFile("google/siglip2-base-patch16-224", "tokenizer.json", TOKENIZER),
    ),
    architecture="siglip2-base",
)
_DINOV2 = replace(
    _RESNET50,
    name="dinov2-small",
    dim=384,
    preprocessing="shortest-256-224-bicubic",
    classes=0,
    size_mb=88,
    licence="Apache-2.0",
    source="Meta, DINOv2 ViT-S/14, without registers",
    hub=(HubFile("facebook/dinov2-small", "model.safetensors", WEIGHTS),),
    architecture="dinov2-small",
)

DOWNLOADABLE = (_RESNET50, _RESNET50_V2, _INCEPTION_V3, _CLIP, _SIGLIP2, _DINOV2)
