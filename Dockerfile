# The worker and its commands. Nothing is compiled or installed at run time.
#
#   docker build -t fraud-worker .
#   docker run --rm fraud-worker check --offline

# Pin it by its digest where an image must be the same for ever.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build

WORKDIR /src
RUN python -m venv /opt/fraud-worker
ENV PATH=/opt/fraud-worker/bin:$PATH
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY worker worker
COPY training training
COPY demo demo
RUN pip install --no-cache-dir -c constraints.txt setuptools \
 && pip install --no-cache-dir -c constraints.txt --no-build-isolation . \
 && pip uninstall --yes setuptools pip

# numba keeps a kernel only as long as its source has the same time; layers may cut
# times to whole seconds, so these have none to lose.
RUN find /opt/fraud-worker -name '*.py' -exec touch -d @1500000000 {} + \
 && python -m compileall -q -f /opt/fraud-worker/lib

# Loading the shipped bundle and folding its golden records compiles the kernels,
# which takes some 20 seconds here and nothing later on a processor of the same kind.
COPY models /models
RUN NUMBA_CACHE_DIR=/opt/fraud-worker/kernels FRAUD_MODELS_DIR=/models \
    fraud-worker check --offline


FROM ${BASE}

RUN pip uninstall --yes --root-user-action=ignore pip \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin fraud \
 && install -d -o fraud -g fraud /var/lib/fraud-worker
COPY --from=build /opt/fraud-worker /opt/fraud-worker
COPY --from=build /models /models

ENV PATH=/opt/fraud-worker/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/tmp/kernels \
    FRAUD_MODELS_DIR=/models \
    FRAUD_STATE_DIR=/var/lib/fraud-worker \
    FRAUD_METRICS_ADDRESS=0.0.0.0 \
    FRAUD_HEALTH_ADDRESS=0.0.0.0

USER 10001
WORKDIR /var/lib/fraud-worker
VOLUME /var/lib/fraud-worker
EXPOSE 9108 9109

# numba uses a cache only where it may also write, hence the copy (3 MB) to what is a
# tmpfs under a read-only root; exec hands the signals to the worker.
ENTRYPOINT ["/bin/sh", "-c", "cp -R /opt/fraud-worker/kernels \"$NUMBA_CACHE_DIR\" && exec fraud-worker \"$@\"", "fraud-worker"]
CMD ["run"]
