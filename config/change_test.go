package config

import (
	"reflect"
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
)

// withChanged returns the defaults with another value of the setting at an index of the table.
func withChanged(t *testing.T, index int) Config {
	t.Helper()
	c := Default()
	changed(t, reflect.ValueOf(fieldOf(settings(&c)[index].value)).Elem())
	return c
}

func TestAChangeConcernsThePluginsOfTheTable(t *testing.T) {
	before := Default()
	for i, s := range settings(new(Config)) {
		if s.change == restart {
			continue // it never applies to a running replica
		}
		after := withChanged(t, i)
		for name, plugins := range map[string]struct {
			permissions *plugin.Permissions
			concern     change
		}{
			"no permission": {&plugin.Permissions{}, anew},
			"http":          {&plugin.Permissions{HTTP: &plugin.HTTPPermission{}}, anew | anewHTTP},
			"websocket":     {&plugin.Permissions{WebSocket: &plugin.WebSocketPermission{}}, anew | anewWebSocket},
			"subsonicapi":   {&plugin.Permissions{SubsonicAPI: &plugin.SubsonicAPIPermission{}}, anew | anewSubsonicAPI},
			"cache":         {&plugin.Permissions{Cache: &plugin.Permission{}}, anew | anewCache},
			"scheduler":     {&plugin.Permissions{Scheduler: &plugin.Permission{}}, anew | anewScheduler},
			"nobody knows":  {nil, ^restart},
		} {
			was, errWas := before.Behaviour("p", plugins.permissions)
			is, errIs := after.Behaviour("p", plugins.permissions)
			if errWas != nil || errIs != nil {
				t.Fatal(errWas, errIs)
			}
			if differs, want := !slices.Equal(was, is), s.change&plugins.concern != 0; differs != want {
				t.Errorf("%s, a plugin with %s: it is loaded anew: %t, by the table %t", s.key(), name, differs, want)
			}
		}
	}
}

func TestOnlyWhatNeedsARestartIsKept(t *testing.T) {
	for i, s := range settings(new(Config)) {
		running, c := Default(), withChanged(t, i)
		changed, want := c.KeepFixed(&running), []string(nil)
		if s.change == restart {
			want = []string{s.key()}
		}
		if !slices.Equal(changed, want) || reflect.DeepEqual(c, running) != (s.change == restart) {
			t.Errorf("%s: kept %q, want %q: %+v", s.key(), changed, want, c)
		}
	}
}

func TestUsersAndWordsApplyAtOnceAndConcernNoPlugin(t *testing.T) {
	running, c := Default(), Default()
	c.Users = []User{{Name: "joe", ID: "1"}}
	c.Scrobbles.Plugin = map[string]ScrobbleWords{"p": {Retry: []string{"busy"}}}
	c.HTTP.TrustedProxies = []string{"127.0.0.1"}
	want := c
	want.HTTP.TrustedProxies = nil
	was, errWas := running.Behaviour("p", nil)
	is, errIs := c.Behaviour("p", nil)
	if errWas != nil || errIs != nil || !slices.Equal(was, is) {
		t.Errorf("a plugin behaves by\n%s, %v, before\n%s, %v", is, errIs, was, errWas)
	}
	if changed := c.KeepFixed(&running); !slices.Equal(changed, []string{"[HTTP] TrustedProxies"}) {
		t.Errorf("kept %q", changed)
	}
	equal(t, c, want)
}

// Replicas of several versions have the same generation of a plugin if nothing differs that it behaves by.
func TestBehaviourKeepsItsForm(t *testing.T) {
	c := Default()
	c.PluginConfig = map[string]map[string]string{"P": {"Key": "value"}}
	c.Runtime.Plugin = map[string]RuntimeOverride{"p": {Queue: new(3)}}
	const (
		config  = `{"Config":{"key":"value"},"Runtime":{"Isolation":"clean","PoolSize":8,"InstanceTTL":60000000000,"MaxConcurrent":10,"Queue":3,"Timeout":10000000000,"MaxTimeout":60000000000,"InitTimeout":300000000000,"MaxMemory":256000000,"HostMemory":2000000000,"CompileTimeout":60000000000,"CompileMemory":512000000,"CompileWorkers":2,"Plugin":null}`
		granted = `,"Navidrome":{"URL":"","UserHeader":"Remote-User"},"Subsonic":"http","Cache":[1000000,10000,64000000],"Scheduler":{"TimeZone":"UTC","MaxSchedules":1000,"MaxPayload":64000},"WebSocket":{"MaxConnections":50,"MaxMessage":1000000,"Ping":20000000000}`
	)
	for want, permissions := range map[string]*plugin.Permissions{config + "}": {}, config + granted + "}": nil} {
		if got, err := c.Behaviour("p", permissions); err != nil || string(got) != want {
			t.Errorf("it is\n%s, %v, want\n%s", got, err, want)
		}
	}
}
