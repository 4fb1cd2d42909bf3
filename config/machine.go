package config

import "path/filepath"

// fillName sets the default of Name, which an empty value stands for as well.
func (l *loader) fillName(hostname func() (string, error)) {
	const key = "Name"
	if l.config.Name != "" {
		return
	}
	delete(l.origin, key)
	name, err := hostname()
	if err != nil {
		l.fault(key, l.where(key), "cannot find the host name: "+oneLine(err.Error())+"; give --name, PLUGINHOST_NAME or Name")
		return
	}
	l.config.Name = name
}

// fillFolders sets the defaults of Data and [Plugins] Folder, which an empty value stands for as well.
func (l *loader) fillFolders() {
	const dataKey = "Data"
	if l.config.Data == "" {
		delete(l.origin, dataKey)
		l.config.Data = defaultData(l.sources.Env)
	}
	if l.config.Data == "" {
		l.fault(dataKey, l.where(dataKey), "neither XDG_DATA_HOME nor HOME names an absolute folder to keep data in; give --data, PLUGINHOST_DATA or Data")
	}
	if l.config.Plugins.Folder == "" {
		delete(l.origin, Key("Plugins", "Folder"))
		if l.config.Data != "" {
			l.config.Plugins.Folder = filepath.Join(l.config.Data, "plugins")
		}
	}
}

// defaultData follows the XDG base directory specification, which has relative paths ignored.
func defaultData(env func(string) (string, bool)) string {
	if base, given := env("XDG_DATA_HOME"); given && filepath.IsAbs(base) {
		return filepath.Join(base, "pluginhost")
	}
	if home, given := env("HOME"); given && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "share", "pluginhost")
	}
	return ""
}
