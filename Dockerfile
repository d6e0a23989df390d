# The image is one static binary on nothing: no shell, no package manager, no root.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN sh configs/container/rootfs.sh /rootfs

FROM scratch
COPY --from=build --chown=65532:65532 /rootfs /
USER 65532:65532
# The queue, and what is remembered of others: MTA-STS policies, probes, clients.
VOLUME /var/spool/aliasmx /var/lib/aliasmx
EXPOSE 25
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/sbin/aliasmx", "status", "--healthcheck"]
ENTRYPOINT ["/usr/sbin/aliasmx"]
CMD ["start"]
