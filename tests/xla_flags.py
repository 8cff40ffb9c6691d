"""What tests tell XLA, which compiles whole steps on JAX and parts of them on TensorFlow."""

# No time spent on optimising what runs for milliseconds: compiling takes half as long.
COMPILED_SOON = "--xla_backend_optimization_level=0"
FOUR_DEVICES = "--xla_force_host_platform_device_count=4"
