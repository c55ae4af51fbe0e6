# syntax=docker/dockerfile:1
# Two images: `server` (web, worker, every command; no torch) and `gpu` (generation and training) on top of it.
#   docker build --target server -t lookalike .
#   docker build --target gpu -t lookalike-gpu .

FROM python:3.13-slim AS wheel
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim AS server
ENV PYTHONUNBUFFERED=1 \
    LOOKALIKE_HOME=/var/lib/lookalike
COPY constraints.txt /wheels/
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --constraint /wheels/constraints.txt /wheels/lookalike-*.whl \
    && useradd --uid 10001 --create-home --home-dir /var/lib/lookalike lookalike \
    && install --directory --owner=lookalike /var/lib/lookalike/exports /var/lib/lookalike/incoming
USER lookalike
WORKDIR /var/lib/lookalike
VOLUME /var/lib/lookalike
EXPOSE 8000
ENTRYPOINT ["lookalike"]
CMD ["serve", "--host", "0.0.0.0"]

FROM server AS gpu
USER root
# The CUDA libraries come with torch's wheel; torch.compile wants a C compiler.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* \
    && wheel="$(echo /wheels/lookalike-*.whl)" \
    && pip install --no-cache-dir --constraint /wheels/constraints.txt "${wheel}[worker,training]" \
    && install --directory --owner=lookalike /runs
USER lookalike
ENV HF_HOME=/var/lib/lookalike/huggingface
CMD ["worker", "--queue", "gpu"]
