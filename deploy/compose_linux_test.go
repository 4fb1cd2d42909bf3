package deploy_test

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var variable = regexp.MustCompile(`\$\{([A-Z_]+)(:\?[^}]*|:-([^}]*))?\}`)

// compose returns the services of compose.yaml with these variables.
func compose(t *testing.T, values map[string]string) map[string]any {
	t.Helper()
	resolved := variable.ReplaceAllStringFunc(read(t, "compose.yaml"), func(reference string) string {
		parts := variable.FindStringSubmatch(reference)
		if value, ok := values[parts[1]]; ok {
			if !strings.HasPrefix(parts[2], ":?") {
				t.Errorf("%s may be empty", reference)
			}
			return value
		}
		if !strings.HasPrefix(parts[2], ":-") {
			t.Errorf("nothing sets %s", reference)
		}
		return parts[3]
	})
	if strings.Contains(resolved, "${") {
		t.Error("a reference that is not understood")
	}
	services, _ := at(documents(t, resolved)[0], "services").(map[string]any)
	return services
}

func environmentOf(service any) map[string]string {
	environment := make(map[string]string)
	variables, _ := at(service, "environment").(map[string]any)
	for name, value := range variables {
		environment[name] = text(value)
	}
	return environment
}

func TestComposeStartsThreeReplicas(t *testing.T) {
	_, values := secrets(t)
	services := compose(t, values)
	names, data := map[string]bool{}, map[string]bool{}
	for name, service := range services {
		if at(service, "restart") != "unless-stopped" || at(service, "read_only") != true || !slices.Equal(texts(at(service, "cap_drop")), []string{"ALL"}) {
			t.Errorf("%s is not restarted, or may do too much", name)
		}
		if !strings.HasPrefix(name, "replica-") {
			continue
		}
		environment := imageEnvironment(t)
		for variable, value := range environmentOf(service) {
			environment[variable] = value
		}
		names[environment["PLUGINHOST_NAME"]] = true
		for _, volume := range texts(at(service, "volumes")) {
			parts := strings.Split(volume, ":")
			switch parts[1] {
			case environment["PLUGINHOST_DATA"]:
				data[parts[0]] = true
				checkVolume(t, text(at(documents(t, read(t, "compose.yaml"))[0], "volumes", parts[0], "driver_opts", "size")))
			case environment["PLUGINHOST_PLUGINS"], path.Dir(environment["PLUGINHOST_CONFIG"]):
				if len(parts) != 3 || parts[2] != "ro" {
					t.Errorf("%s may write in %s", name, volume)
				}
			default:
				t.Errorf("%s: nobody looks at %s", name, volume)
			}
		}
		if grace, err := time.ParseDuration(text(at(service, "stop_grace_period"))); err != nil || grace <= longestDrain(t) {
			t.Errorf("%s gets %v to leave", name, grace)
		}
		checkMemory(t, text(at(service, "deploy", "resources", "limits", "memory"))+"iB")
	}
	if len(names) != 3 || len(data) != 3 {
		t.Errorf("replicas %v with data in %v", names, data)
	}
	service := services["replica-1"]
	environment := imageEnvironment(t)
	for variable, value := range environmentOf(service) {
		environment[variable] = value
	}
	container{args: append(words(t, "ENTRYPOINT"), texts(at(service, "command"))...), environment: environment}.
		works(t, texts(at(service, "healthcheck", "test"))[1:])
}

func TestComposeStartsAClusterOfNATSServers(t *testing.T) {
	_, values := secrets(t)
	services := compose(t, values)
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		options, err := configure(t, environmentOf(services[name]))
		if err != nil {
			t.Fatal(err)
		}
		if options.ServerName != name || len(options.Routes) != 3 {
			t.Errorf("%s is %s with routes %v", name, options.ServerName, options.Routes)
		}
		for _, route := range options.Routes {
			password, _ := route.User.Password()
			if services[route.Hostname()] == nil || route.User.Username() != "route" || password != values["NATS_ROUTE_PASSWORD"] {
				t.Errorf("%s is no route to a server", route)
			}
		}
		if grace, err := time.ParseDuration(text(at(services[name], "stop_grace_period"))); err != nil || grace <= options.LameDuckDuration+options.LameDuckGracePeriod {
			t.Errorf("%s gets %v to hand over", name, grace)
		}
		if !slices.Contains(texts(at(services[name], "volumes")), name+":"+options.StoreDir) {
			t.Errorf("%s does not keep %s", name, options.StoreDir)
		}
		for _, port := range texts(at(services[name], "ports")) {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s can be reached from other machines", port)
			}
		}
	}
}

// What a Navidrome beside the replicas is told leads to them.
func TestComposeHasANavidromeThatFindsTheReplicas(t *testing.T) {
	_, values := secrets(t)
	services := compose(t, values)
	navidrome := services["navidrome"]
	if !slices.Equal(texts(at(navidrome, "profiles")), []string{"navidrome"}) {
		t.Error("it starts without being asked for")
	}
	environment := environmentOf(navidrome)
	base, err := url.Parse(environment["ND_LISTENBRAINZ_BASEURL"])
	if err != nil || base.Path != "/1/" {
		t.Fatalf("plays go to %v, %v", base, err)
	}
	for _, name := range []string{"replica-1", "replica-2", "replica-3"} {
		aliases := texts(at(services[name], "networks", "default", "aliases"))
		if listens := environmentOf(services[name])["PLUGINHOST_LISTENBRAINZ"]; !slices.Contains(aliases, base.Hostname()) || listens != "0.0.0.0:"+base.Port() {
			t.Errorf("%s is %v and listens at %s, and plays go to %s", name, aliases, listens, base.Host)
		}
	}
	if packages := read(t, "../bridges/bridge-060/README.md"); !strings.Contains(packages, "`"+environment["ND_AGENTS"]+".ndp`") {
		t.Errorf("there is no package %s", environment["ND_AGENTS"])
	}
	for _, port := range texts(at(navidrome, "ports")) {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("%s can be reached from other machines", port)
		}
	}
	if !slices.ContainsFunc(texts(at(navidrome, "volumes")), func(v string) bool { return strings.HasSuffix(v, ":"+environment["ND_PLUGINS_FOLDER"]+":ro") }) {
		t.Error("nothing is in its plugins folder")
	}
}
