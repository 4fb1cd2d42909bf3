package testenv

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// DeployedNATS starts one server with the configuration in deploy/nats, its
// accounts and users among it, and returns the URL for each user.
func DeployedNATS(t testing.TB) (as func(user string) string) {
	t.Helper()
	options := deployedOptions(t, "n0", []int{server.DEFAULT_PORT})
	options.Cluster, options.Routes = server.ClusterOpts{}, nil
	s := runServer(t, options)
	awaitReady(t, s)
	return func(user string) string { return deployedURL(user, s.ClientURL()) }
}

// DeployedNATSCluster starts the three servers that deploy/nats configures, and
// returns their URLs for each user.
func DeployedNATSCluster(t testing.TB) (as func(user string) []string) {
	t.Helper()
	ports := freePorts(t, 3)
	var servers []*server.Server
	for i := range ports {
		options := deployedOptions(t, fmt.Sprintf("n%d", i), ports)
		options.Cluster.Host, options.Cluster.Port = "127.0.0.1", ports[i]
		servers = append(servers, runServer(t, options))
	}
	awaitCluster(t, servers)
	return func(user string) []string {
		var urls []string
		for _, s := range servers {
			urls = append(urls, deployedURL(user, s.ClientURL()))
		}
		return urls
	}
}

// deployedOptions reads deploy/nats/nats.conf for one of the servers whose ports
// for routes these are. Its addresses and its folder are the test's.
func deployedOptions(t testing.TB, name string, ports []int) *server.Options {
	t.Helper()
	var routes []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("%q", fmt.Sprintf("nats://route:%s@127.0.0.1:%d", deployedPassword("route"), port)))
	}
	t.Setenv("NATS_SERVER_NAME", name)
	t.Setenv("NATS_ROUTES", "["+strings.Join(routes, ", ")+"]")
	for _, user := range []string{"route", "host", "navidrome", "operator", "system"} {
		t.Setenv("NATS_"+strings.ToUpper(user)+"_PASSWORD", deployedPassword(user))
	}
	options, err := server.ProcessConfigFile(filepath.Join(guests.Root(), "deploy", "nats", "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port, options.HTTPPort = "127.0.0.1", server.RANDOM_PORT, 0
	options.StoreDir, options.NoSigs, options.NoLog = t.TempDir(), true, true
	return options
}

func deployedPassword(user string) string { return "secret-of-" + user }

func deployedURL(user, url string) string {
	return strings.Replace(url, "nats://", "nats://"+user+":"+deployedPassword(user)+"@", 1)
}
