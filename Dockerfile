# A worker that can start vLLM on its GPU, for Dataflow, Flink or any runner of containers:
#   docker build --tag IMAGE . && docker push IMAGE
# The job must be launched with the same minor version of Python and the same Beam.
ARG BEAM=2.77.0
ARG PYTHON=3.11

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS beam
FROM ghcr.io/astral-sh/uv:0.9 AS uv

# The compilers are for what vLLM builds at its start.
FROM nvidia/cuda:12.9.1-devel-ubuntu22.04
ARG BEAM
ARG PYTHON
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PYTHON_INSTALL_DIR=/opt/python \
    VIRTUAL_ENV=/opt/spar \
    PATH=/opt/spar/bin:$PATH
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/* \
    && uv venv --seed --python ${PYTHON} /opt/spar
# The large ones first: they change less often than the project.
RUN uv pip install --no-cache vllm==0.32.0 "apache-beam[gcp]==${BEAM}"
COPY . /opt/project
RUN uv pip install --no-cache "/opt/project[gcp,checks,code,evolve]"

COPY --from=beam /opt/apache/beam /opt/apache/beam
# Beam's start would make an environment beside this one and not see what is installed here.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]
