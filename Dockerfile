# openholder in a container. Build it from a checkout; nothing but the base image and the locked libraries is fetched:
#
#   docker build --tag openholder:0.2.0 .
#
# PLUGINS names distributions of this checkout to install too: --build-arg PLUGINS=postgres

FROM python:3.13-slim AS build
ARG PLUGINS=""
WORKDIR /src
# In a layer of its own, which only a change of the lock file builds anew.
COPY requirements requirements
RUN python -m venv --without-pip /opt/openholder \
    && pip --python /opt/openholder/bin/python install --no-cache-dir --require-hashes \
        --requirement requirements/production.txt
COPY . .
RUN set -eu; \
    for plugin in ${PLUGINS}; do \
        pip --python /opt/openholder/bin/python install --no-cache-dir --require-hashes \
            --requirement "requirements/${plugin}.txt"; \
        pip --python /opt/openholder/bin/python install --no-cache-dir --no-deps "./plugins/openholder_${plugin}"; \
    done; \
    pip --python /opt/openholder/bin/python install --no-cache-dir --no-deps .; \
    /opt/openholder/bin/openholder --version

FROM python:3.13-slim
LABEL org.opencontainers.image.title="openholder" \
      org.opencontainers.image.description="Unofficial Resource Server for data holders on the Fiskil platform" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 openholder \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin openholder \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/openholder
COPY --from=build /opt/openholder /opt/openholder
ENV PATH=/opt/openholder/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    OPENHOLDER_CONFIG=/etc/openholder/openholder.toml \
    OPENHOLDER_STATE_FOLDER=/var/lib/openholder
# Numbers, because Kubernetes compares them with runAsNonRoot. The root file system may be read-only.
USER 10001:10001
VOLUME /var/lib/openholder
EXPOSE 8443 9443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=150s --retries=3 \
    CMD ["python", "-c", "import urllib.request as request; request.urlopen('http://127.0.0.1:9443/ready', timeout=3)"]
ENTRYPOINT ["openholder"]
CMD ["serve"]
