module github.com/pluginhost/pluginhost/bridges

go 1.26.0

replace (
	github.com/pluginhost/pluginhost => ../
	github.com/pluginhost/pluginhost/sdk => ../sdk
	github.com/pluginhost/pluginhost/subjects => ../subjects
)
