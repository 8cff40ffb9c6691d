"""The names a user chooses among, where the choice is not a table of functions of its own."""

BACKENDS = ("tensorflow", "jax")
CLASSIFICATION, MULTILABEL, REGRESSION = TASKS = ("classification", "multilabel", "regression")  # of a head
CLASS_BALANCES = ("none", "weights", "sampler")  # what is done where classes have more and fewer videos
DISTANCES = ("huber", "l1", "l2")  # of numbers, see `mae.finetuning.losses`
ATTENTIONS = ("chunked", "plain", "fused")
REMATS = ("none", "blocks")
PATCH_TARGETS = ("videomae", "mae_st", "pixels")  # of each patch by itself
TARGETS = (*PATCH_TARGETS, "difference")
TARGET_SCALES = ("clip", "patch", "none")  # of differences, see `mae.targets.difference_scale`
LOSS_WEIGHTS = ("none", "motion")
MASK_MOTIONS = ("none", "hide", "keep")  # what moves, see `mae.masking.motion_mask`
POSITIONS = ("sincos", "sincos_factorised", "learnable")
POSITION_MODES = ("recompute", "interpolate", "replace")
POOLINGS = ("mean", "first")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu")
ON_USR1 = ("save", "end")
STRATEGIES = ("auto", "single", "mirrored", "multiworker", "tpu")
CHANNELS = ("rgb", "grey", "stored")  # of pixels, see `mae.data.videos.decoding.Decoding`
DECODERS = ("pyav", "opencv")  # of video files; the first one is right wherever `ffmpeg` is
RESIZES = ("crop", "letterbox", "stretch")  # see `mae.data.transforms.crops.resized_whole`
CROPS = ("multi_scale", "random_resized", "center")
CLIP_KINDS = ("dense", "segments")  # how a model was used to see a video, see `mae.data.sampling.KINDS`
FEATURE_DTYPES = ("float32", "float16")  # on disk
MONITORS = ("wandb", "tensorboard")  # views of metrics.jsonl elsewhere
WANDB_MODES = ("auto", "online", "offline", "disabled")
