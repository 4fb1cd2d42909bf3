# An image of plugins for ../deploy/kubernetes: docker build -f deploy/plugins.Dockerfile -t REGISTRY/pluginhost-plugins:1 FOLDER
# where FOLDER has plugins/<id>/plugin.wasm and plugins/<id>/manifest.json.
FROM docker.io/library/busybox:1.37
COPY plugins /plugins
USER 65532:65532
