"""The embedded digit classifier: the offline feature extractor, and the judge of conditional digits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from genkit import UsageError

WEIGHTS = "lenet-digits.safetensors"


class LeNet(nn.Module):
    """A classifier of 28×28 handwritten digits in LeNet-5's form (LeCun et al. 1998, §II.B), with ReLU, maximum pooling
    and batch norm. 94,000 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5, bias=False)
        self.norm1 = nn.BatchNorm2d(20)
        self.conv2 = nn.Conv2d(20, 50, 5, bias=False)
        self.norm2 = nn.BatchNorm2d(50)
        self.hidden = nn.Linear(800, 84)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(84, 10)

    def features(self, images: Tensor) -> Tensor:
        """The penultimate layer [B, 84] of images [B, 1, 28, 28] in [-1, 1]."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(images))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        return F.relu(self.hidden(x.flatten(1)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, 10] of images [B, 1, 28, 28] in [-1, 1]."""
        logits: Tensor = self.head(self.dropout(self.features(images)))
        return logits


def as_digits(images: Tensor) -> Tensor:
    """[B, 1, 28, 28] from images [B, C, H, W] of digits as `image.digits` enlarges them.

    Colour becomes grey; every size but 28 is brought to 32, whose border of 2 is cut. Raises UsageError unless square.
    """
    if images.dim() != 4 or images.shape[-1] != images.shape[-2]:
        raise UsageError(f"lenet-digits reads square images, not a batch of shape {list(images.shape)}")
    grey = images.mean(1, keepdim=True)
    if grey.shape[-1] == 28:
        return grey
    if grey.shape[-1] != 32:
        grey = F.interpolate(grey, (32, 32), mode="bilinear", antialias=True, align_corners=False)
    return grey[..., 2:30, 2:30]
