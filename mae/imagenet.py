"""How the pixels of ImageNet are distributed, by which the published models normalise theirs."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of red, green and blue in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
