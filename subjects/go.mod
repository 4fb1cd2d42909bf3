module github.com/pluginhost/pluginhost/subjects

go 1.25.0
