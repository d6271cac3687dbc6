# Quarterdeck as an image: small, without root, without pip, with its bytecode compiled.
#
#   docker build -t quarterdeck .        (or: make image)
#   docker run -d --name quarterdeck -v quarterdeck:/var/lib/quarterdeck -p 127.0.0.1:9108:9108 \
#     -v /var/run/docker.sock:/var/run/docker.sock --group-add "$(stat -c %g /var/run/docker.sock)" quarterdeck
#
# Dependencies come from requirements.lock alone, each with its hash. A folder wheels/ beside this file is used instead of
# a package index where it is there:  pip download --only-binary :all: --require-hashes -r requirements.lock -d wheels
# Whoever wants the same base tomorrow pins it: --build-arg BASE=python:3.12-slim-bookworm@sha256:...
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock wheel[s] /wheels/
RUN python3 -m venv --without-pip /opt/quarterdeck \
 && set -- --disable-pip-version-check --no-cache-dir --python /opt/quarterdeck/bin/python3 install --require-hashes \
 && if ls /wheels/*.whl >/dev/null 2>&1; then set -- "$@" --no-index --find-links /wheels; fi \
 && python3 -m pip "$@" -r /wheels/requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY runtimes runtimes
COPY collectors collectors
COPY commands commands
COPY bot bot
# What only builds our own package goes again; `pip check` fails here the day something else comes to need it.
RUN set -- --disable-pip-version-check --no-cache-dir --python /opt/quarterdeck/bin/python3 \
 && python3 -m pip "$@" install --no-deps --no-build-isolation --no-index . \
 && python3 -m pip "$@" uninstall -y hatchling editables packaging pathspec pluggy tomlkit trove-classifiers \
 && python3 -m pip "$@" check

FROM ${BASE}
# The official images come without the standard library's bytecode, and nobody may write it later: it would be compiled
# anew at every start and every health check.
RUN lib="$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && rm -rf "$lib"/site-packages/pip "$lib"/site-packages/pip-* "$lib"/ensurepip "$(dirname "$(command -v python3)")"/pip* \
 && python3 -m compileall -q --invalidation-mode unchecked-hash \
      -x '/(test|tests|idlelib|lib2to3|tkinter|turtledemo|pydoc_data|site-packages|config-[^/]*)/' "$lib" \
 && echo 'quarterdeck:x:10001:10001::/var/lib/quarterdeck:/bin/false' >>/etc/passwd \
 && echo 'quarterdeck:x:10001:' >>/etc/group \
 && mkdir -p /etc/quarterdeck /var/lib/quarterdeck \
 && chown 10001:10001 /var/lib/quarterdeck \
 && chmod 0700 /var/lib/quarterdeck
COPY --from=build /opt/quarterdeck /opt/quarterdeck
ENV PATH=/opt/quarterdeck/bin:$PATH \
    QUARTERDECK_STATE=/var/lib/quarterdeck \
    QUARTERDECK_METRICS__LISTEN=:9108
# A configuration is looked for here: mount it as /etc/quarterdeck/quarterdeck.yaml.
WORKDIR /etc/quarterdeck
USER 10001:10001
VOLUME /var/lib/quarterdeck
EXPOSE 9108
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["quarterdeck", "health"]
ENTRYPOINT ["quarterdeck"]
CMD ["run", "--no-console"]
# Last, so that another version changes no layer.
ARG VERSION=dev
LABEL org.opencontainers.image.title="quarterdeck" \
      org.opencontainers.image.description="Chat-ops bot and event monitor for container engines" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
