package deploy_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// manifests are what the files describe, by kind and name.
func manifests(t *testing.T, files ...string) map[string]any {
	t.Helper()
	all := make(map[string]any)
	for _, file := range files {
		for _, document := range documents(t, read(t, "kubernetes", file)) {
			all[text(at(document, "kind"))+" "+text(at(document, "metadata", "name"))] = document
		}
	}
	return all
}

// environmentIn is what a container gets: secrets by their key, fields of the pod
// by their path, and references to other variables resolved.
func environmentIn(t *testing.T, spec any, secrets map[string]string) map[string]string {
	t.Helper()
	environment := make(map[string]string)
	for _, variable := range list(at(spec, "env")) {
		name, value := text(at(variable, "name")), text(at(variable, "value"))
		if key := text(at(variable, "valueFrom", "secretKeyRef", "key")); key != "" {
			if value = secrets[key]; value == "" {
				t.Errorf("there is no secret %s", key)
			}
		}
		if field := text(at(variable, "valueFrom", "fieldRef", "fieldPath")); field != "" {
			value = field
		}
		for earlier, of := range environment { // only those before it are resolved
			value = strings.ReplaceAll(value, "$("+earlier+")", of)
		}
		if strings.Contains(value, "$(") {
			t.Errorf("%s refers to what is not set before it: %s", name, value)
		}
		environment[name] = value
	}
	return environment
}

func TestKubernetesStartsAReplica(t *testing.T) {
	_, values := secrets(t)
	pod := at(manifests(t, "pluginhost.yaml")["Deployment pluginhost"], "spec", "template", "spec")
	if at(pod, "enableServiceLinks") != false {
		t.Error("Services set variables that are taken for settings")
	}
	if grace, _ := at(pod, "terminationGracePeriodSeconds").(int); time.Duration(grace)*time.Second <= longestDrain(t) {
		t.Errorf("it gets %d s to leave", grace)
	}
	replica := at(pod, "containers", 0)
	environment := imageEnvironment(t)
	for name, value := range environmentIn(t, replica, values) {
		environment[name] = value
	}
	port := fmt.Sprint(at(replica, "ports", 0, "containerPort"))
	if environment["PLUGINHOST_HTTP"] != "0.0.0.0:"+port {
		t.Errorf("probes ask port %s of %s", port, environment["PLUGINHOST_HTTP"])
	}
	service := manifests(t, "pluginhost.yaml")["Service pluginhost"]
	if at(service, "spec", "selector", "app") != at(manifests(t, "pluginhost.yaml")["Deployment pluginhost"], "spec", "template", "metadata", "labels", "app") ||
		at(service, "spec", "ports", 0, "targetPort") != at(replica, "ports", 0, "name") {
		t.Errorf("the gateway is not behind the Service: %v", service)
	}
	// container.works asks both.
	for probe, path := range map[string]string{"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"} {
		if get := at(replica, probe, "httpGet"); at(get, "path") != path || at(get, "port") != at(replica, "ports", 0, "name") {
			t.Errorf("%s is %v", probe, get)
		}
	}
	checkMemory(t, text(at(replica, "resources", "limits", "memory"))+"B")
	mounts, volumes := make(map[string]any), make(map[string]string)
	for _, mount := range list(at(replica, "volumeMounts")) {
		mounts[text(at(mount, "mountPath"))] = at(mount, "readOnly")
		volumes[text(at(mount, "name"))] = text(at(mount, "mountPath"))
	}
	for _, volume := range list(at(pod, "volumes")) {
		if volumes[text(at(volume, "name"))] == environment["PLUGINHOST_DATA"] {
			checkVolume(t, text(at(volume, "emptyDir", "sizeLimit"))+"B")
		}
	}
	for path, readOnly := range map[string]any{
		environment["PLUGINHOST_DATA"]:                 nil,
		environment["PLUGINHOST_PLUGINS"]:              true,
		filepath.Dir(environment["PLUGINHOST_CONFIG"]): true,
	} {
		if got, ok := mounts[path]; !ok || got != readOnly {
			t.Errorf("%s: mounted %t, read only: %v", path, ok, got)
		}
	}
	container{args: append(words(t, "ENTRYPOINT"), texts(at(replica, "args"))...), environment: environment}.works(t, nil)
}

func TestKubernetesStartsAClusterOfNATSServers(t *testing.T) {
	_, values := secrets(t)
	all := manifests(t, "nats.yaml")
	set := all["StatefulSet nats"]
	pod := at(set, "spec", "template", "spec")
	container := at(pod, "containers", 0)
	options, err := configure(t, environmentIn(t, container, values))
	if err != nil {
		t.Fatal(err)
	}
	for i, route := range options.Routes {
		if want := fmt.Sprintf("nats-%d.%s:%d", i, at(set, "spec", "serviceName"), options.Cluster.Port); route.Host != want {
			t.Errorf("route %d is %s, want %s", i, route.Host, want)
		}
	}
	if len(options.Routes) != at(set, "spec", "replicas") {
		t.Errorf("%d routes", len(options.Routes))
	}
	grace, _ := at(pod, "terminationGracePeriodSeconds").(int)
	if time.Duration(grace)*time.Second <= options.LameDuckDuration+options.LameDuckGracePeriod {
		t.Errorf("it gets %d s to hand over", grace)
	}
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		command := texts(at(container, probe, "exec", "command"))
		asked, err := url.Parse(command[len(command)-1])
		if want := net.JoinHostPort(options.HTTPHost, strconv.Itoa(options.HTTPPort)); err != nil || asked.Host != want || asked.Path != "/healthz" {
			t.Errorf("%s asks %v", probe, command)
		}
		// What a server answers that hangs since its disk was full.
		if probe == "livenessProbe" && asked.RawQuery != "js-enabled-only=true" {
			t.Errorf("a server whose JetStream has ended is not restarted: it asks %v", command)
		}
	}
	if at(container, "volumeMounts", 1, "mountPath") != options.StoreDir {
		t.Errorf("%s does not last", options.StoreDir)
	}
}

func TestKubernetesPodsMayDoLittle(t *testing.T) {
	all := manifests(t, "pluginhost.yaml", "nats.yaml", "network.yaml")
	for name, manifest := range all {
		pod := at(manifest, "spec", "template", "spec")
		if pod == nil {
			continue
		}
		if at(pod, "automountServiceAccountToken") != false || at(pod, "enableServiceLinks") != false ||
			at(pod, "securityContext", "runAsNonRoot") != true || at(pod, "securityContext", "seccompProfile", "type") != "RuntimeDefault" {
			t.Errorf("%s: %v", name, at(pod, "securityContext"))
		}
		for _, container := range slices.Concat(list(at(pod, "containers")), list(at(pod, "initContainers"))) {
			context := at(container, "securityContext")
			if at(context, "allowPrivilegeEscalation") != false || at(context, "readOnlyRootFilesystem") != true ||
				!slices.Equal(texts(at(context, "capabilities", "drop")), []string{"ALL"}) {
				t.Errorf("%s: %v: %v", name, at(container, "name"), context)
			}
		}
		app := text(at(manifest, "metadata", "name"))
		labels := at(manifest, "spec", "template", "metadata", "labels", "app")
		for what, selected := range map[string]any{
			"itself":              at(manifest, "spec", "selector", "matchLabels", "app"),
			"a disruption budget": at(all["PodDisruptionBudget "+app], "spec", "selector", "matchLabels", "app"),
			"a network policy":    at(all["NetworkPolicy "+app], "spec", "podSelector", "matchLabels", "app"),
			"a spread":            at(pod, "topologySpreadConstraints", 0, "labelSelector", "matchLabels", "app"),
		} {
			if selected == nil || selected != labels {
				t.Errorf("%s has the label %v, %s is for %v", name, labels, what, selected)
			}
		}
	}
}

func TestKustomizeFindsEverything(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("no kubectl here")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(guests.Root(), "deploy"))); err != nil {
		t.Fatal(err)
	}
	if err := script(t, "make-secrets.sh", filepath.Join(dir, "kubernetes", "secrets.env")); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", filepath.Join(dir, "kubernetes")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, used := make(map[string]bool), make(map[string]bool)
	for _, document := range documents(t, string(out)) {
		kind, name := text(at(document, "kind")), text(at(document, "metadata", "name"))
		made[kind+" "+name] = true
		if namespace := at(document, "metadata", "namespace"); kind != "Namespace" && namespace != "pluginhost" {
			t.Errorf("%s %s is in %v", kind, name, namespace)
		}
		if at(document, "kind") == "ConfigMap" {
			for file, content := range at(document, "data").(map[string]any) {
				if content != read(t, "nats", file) {
					t.Errorf("%s is not that of nats", file)
				}
			}
		}
		pod := at(document, "spec", "template", "spec")
		for _, volume := range list(at(pod, "volumes")) {
			used["ConfigMap "+text(at(volume, "configMap", "name"))] = true
			used["Secret "+text(at(volume, "secret", "secretName"))] = true
		}
		for _, container := range slices.Concat(list(at(pod, "containers")), list(at(pod, "initContainers"))) {
			for _, variable := range list(at(container, "env")) {
				used["Secret "+text(at(variable, "valueFrom", "secretKeyRef", "name"))] = true
			}
			if image := text(at(container, "image")); !strings.Contains(image, "/") || !strings.Contains(image, ":") {
				t.Errorf("nobody knows where %s is", image)
			}
		}
	}
	delete(used, "Secret ")
	delete(used, "ConfigMap ")
	if len(used) != 3 {
		t.Errorf("used: %v", used)
	}
	for name := range used {
		if !made[name] {
			t.Errorf("there is no %s", name)
		}
	}
}
