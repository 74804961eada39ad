# amqpd in a container:
#   docker build -t amqpd .
#   docker run -p 127.0.0.1:5672:5672 -e AMQPD_DEFAULT_USER=app -e AMQPD_DEFAULT_PASS=secret -v amqpd:/var/lib/amqpd amqpd
# Every setting is an environment variable; "docker run amqpd serve --help" lists them. Or mount a file of settings as
# /var/lib/amqpd/amqpd.toml. Give it a user of its own: guest may log in over loopback only, and whoever comes from
# outside of the container does not.
FROM python:3.13-slim

RUN useradd --system --user-group --home-dir /var/lib/amqpd --create-home amqpd

COPY LICENSE README.md hatch_build.py pyproject.toml /usr/src/amqpd/
COPY amqpd /usr/src/amqpd/amqpd
RUN pip install --no-cache-dir --root-user-action=ignore /usr/src/amqpd

# Within a container loopback is nobody's. Who may reach the ports is said where they are published.
ENV AMQPD_HOST=0.0.0.0 \
    AMQPD_METRICS_HOST=0.0.0.0 \
    AMQPD_DATA_DIR=/var/lib/amqpd/data

USER amqpd
WORKDIR /var/lib/amqpd
VOLUME /var/lib/amqpd
EXPOSE 5672 15692

# A long backlog is read at the start; that is not yet an illness.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["amqpd", "ping", "--timeout", "4"]

ENTRYPOINT ["amqpd"]
CMD ["serve"]
