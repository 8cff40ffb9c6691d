# docker build --target cpu -t mae-video:cpu .        docker build --target cuda -t mae-video:cuda .
# How to run them: docs/docker.md
FROM python:3.11-slim AS base
WORKDIR /mae-video
COPY . .
ENV PIP_NO_CACHE_DIR=1 XDG_CACHE_HOME=/mae-video/outputs/cache
ENTRYPOINT ["python"]
CMD ["pretrain.py"]

# CUDA comes with the wheels: of the host, only NVIDIA's driver and container toolkit are used.
FROM base AS cuda
ARG ENGINE=gpu
RUN pip install -c constraints.txt -e ".[$ENGINE,report,tensorboard]"
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM base AS cpu
ARG ENGINE=tensorflow
RUN pip install -c constraints.txt -e ".[$ENGINE,report,tensorboard]"
