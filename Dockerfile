# The image that the chart names: docker build -t shoal:0.1.0 .
#
# `npm run build` lays out what is in it, here as for the test cluster (tools/build.mjs): Node, the libraries that it needs,
# production packages, compiled JavaScript. There is no shell and no package manager in it.

FROM node:24-bookworm AS build
WORKDIR /source
COPY . .
RUN npm run build -- --output /image

FROM scratch
COPY --from=build /image/base/ /
COPY --from=build /image/program/ /
# As imageConfig in tools/build.mjs; a test compares them.
ENV PATH=/usr/local/bin
ENV UV_THREADPOOL_SIZE=8
ENV MALLOC_ARENA_MAX=2
ENV MALLOC_MMAP_THRESHOLD_=262144
ENV MALLOC_TRIM_THRESHOLD_=4194304
ENV NODE_OPTIONS=--max-semi-space-size=8
ENV NODE_ENV=production
WORKDIR /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/shoal"]
