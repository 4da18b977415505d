# The touch page and the HTTP API as an image. It is linted with hadolint, and its steps were run one by one without a
# container; the image itself was never built where this was written: there is no Docker.
#
#   docker build --tag kuzushiji .
#   docker run --rm --read-only --publish 8000:8000 --env KUZUSHIJI_API_KEY kuzushiji

FROM node:22-slim AS page
WORKDIR /web
COPY kuzushiji_tf/serving/web/package.json kuzushiji_tf/serving/web/package-lock.json kuzushiji_tf/serving/web/vendor.mjs ./
RUN npm ci

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY saved_models saved_models
COPY kuzushiji_tf kuzushiji_tf
COPY --from=page /web/vendor kuzushiji_tf/serving/web/vendor
RUN python -m venv /opt/kuzushiji \
    && /opt/kuzushiji/bin/pip install --no-cache-dir '.[serve]' \
    && /opt/kuzushiji/bin/kuzushiji-tf serve --write-site /opt/site

FROM python:3.13-slim
COPY --from=build /opt /opt
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["/opt/kuzushiji/bin/kuzushiji-tf", "serve", "--host", "0.0.0.0", "--site", "/opt/site"]
