package replica

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"

	"github.com/pluginhost/pluginhost/api/host"
	apiconfig "github.com/pluginhost/pluginhost/api/host/config"
	apihttp "github.com/pluginhost/pluginhost/api/host/http"
	"github.com/pluginhost/pluginhost/api/schema"
	hostconfig "github.com/pluginhost/pluginhost/hostsvc/config"
	hosthttp "github.com/pluginhost/pluginhost/hostsvc/http"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// services are the host services of one generation of a plugin: those that its
// manifest was granted. Whoever has them closes them.
type services struct {
	functions []host.Function
	closers   []io.Closer
	missing   []string // granted, but not offered by this version
}

// grant makes the services that a manifest asks for.
func grant(config *Config, entry plugin.Entry, log *slog.Logger) (services, error) {
	var s services
	permissions := entry.Manifest.Permissions
	if p := permissions.HTTP; p != nil {
		navidrome, err := navidromeURL(config)
		if err != nil {
			return s, err
		}
		service, err := hosthttp.New(hosthttp.Config{
			PluginID:          entry.ID,
			AllowedURLs:       p.AllowedURLs,
			AllowLocalNetwork: p.AllowLocalNetwork,
			Navidrome:         navidrome,
			UserHeader:        config.Navidrome.UserHeader,
			MaxTimeout:        config.Runtime.For(entry.ID).MaxTimeout,
			Logger:            log,
		})
		if err != nil {
			return s, fmt.Errorf("permission http: %w", err)
		}
		s.closers = append(s.closers, service)
		s.functions = append(s.functions, apihttp.Functions(service)...)
	}
	if permissions.Config != nil {
		s.functions = append(s.functions, apiconfig.Functions(hostconfig.New(config.PluginConfigFor(entry.ID)))...)
	}
	for _, permission := range permissions.Granted() {
		if permission != "http" && permission != "config" {
			s.missing = append(s.missing, permission)
		}
	}
	return s, nil
}

func navidromeURL(config *Config) (*url.URL, error) {
	if config.Navidrome.URL == "" {
		return nil, nil
	}
	return url.Parse(config.Navidrome.URL)
}

func (s services) close() error {
	var errs []error
	for _, closer := range s.closers {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

func (s services) hostFunctions() []wasmrt.HostFunction {
	functions := make([]wasmrt.HostFunction, len(s.functions))
	for i, function := range s.functions {
		functions[i] = wasmrt.HostFunction(function)
	}
	return functions
}

// explain says what to do about an import that the guest is not offered.
func (s services) explain(err error) error {
	var missing *wasmrt.MissingImportError
	if !errors.As(err, &missing) || missing.Module != host.Module {
		return err
	}
	for _, service := range schema.HostServices() {
		if !slices.Contains(service.Functions, missing.Name) {
			continue
		}
		if slices.Contains(s.missing, service.Permission) {
			return fmt.Errorf("%w: this version of pluginhost does not offer the host service %q", err, service.Permission)
		}
		return fmt.Errorf("%w: add %q to the permissions in manifest.json, or do not call that service", err, service.Permission)
	}
	return fmt.Errorf("%w: no host service has this function", err)
}
