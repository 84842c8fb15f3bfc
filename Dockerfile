# One image for the web server, the workers and the scheduler; docker-compose.yml says which is which.

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python -m venv .venv
COPY requirements.txt ./
RUN .venv/bin/pip install --quiet --no-cache-dir --require-hashes --requirement requirements.txt
# Node.js is needed to fetch the front-end files and stays in this stage.
COPY package.json package-lock.json .npmrc requirements-node.txt ./
COPY scripts/vendor.py scripts/icons.txt scripts/
RUN python scripts/vendor.py

FROM python:3.13-slim-bookworm
# For scripts/backup.py, which runs pg_dump; it must not be older than the server.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 csplatform
WORKDIR /app
COPY --from=build /app/.venv .venv
COPY . .
COPY --from=build /app/static/vendor static/vendor
RUN mkdir /var/lib/csplatform && chown csplatform /var/lib/csplatform
ENV PATH="/app/.venv/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    CSPLATFORM_VAR=/var/lib/csplatform
USER csplatform
VOLUME /var/lib/csplatform
EXPOSE 8000
# --worker-tmp-dir: heartbeats on a disk would make gunicorn's workers look dead when that is slow.
CMD ["gunicorn", "csplatform.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", \
     "--threads", "4", "--worker-tmp-dir", "/dev/shm", "--access-logfile", "-"]
