package deploy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

var users = []string{"host", "navidrome", "operator"}

// connectAs returns a connection whose violations are in LastError.
func connectAs(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, append(options, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// refused says whether the server refused what the connection has done.
func refused(t *testing.T, conn *nats.Conn) bool {
	t.Helper()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	err := conn.LastError()
	if err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
		t.Fatal(err)
	}
	return err != nil
}

func TestPermissionToPublish(t *testing.T) {
	as := testenv.DeployedNATS(t)
	const state, cache, schedules, queues, tokens = "KV_pluginhost-state", "KV_pluginhost-cache", "KV_pluginhost-schedules", "KV_pluginhost-queues", "KV_pluginhost-tokens"
	for subject, who := range map[string]string{
		"plugins.p.get":                                   "host navidrome operator",
		"plugins.p.is_authorized":                         "host navidrome operator",
		"plugins.p.now_playing":                           "host navidrome operator",
		"_INBOX_pluginhost_door.of.somebody":              "host",
		"plugins.p.callback.on_close":                     "operator",
		"plugins.p.a.b.c":                                 "",
		"plugins":                                         "",
		"pluginhost.ctl.info.p":                           "host navidrome operator",
		"pluginhost.ctl.info":                             "operator",
		"pluginhost.ctl.status":                           "operator",
		"pluginhost.ctl.list":                             "host navidrome operator",
		"pluginhost.ctl.refresh.p":                        "operator",
		"pluginhost.ctl.drain":                            "operator",
		"pluginhost.ctl.drain.r":                          "operator",
		"pluginhost.event.loaded.p":                       "host",
		"pluginhost.socket.p.c":                           "host",
		"pluginhost.socket.p":                             "",
		"pluginhost.other":                                "",
		"$SRV.PING":                                       "operator",
		"$SRV.INFO.p.i":                                   "operator",
		"fires.p.s":                                       "host",
		"fires.p.s.more":                                  "",
		"scrobbles":                                       "host navidrome operator",
		"scrobbles.p":                                     "host navidrome operator",
		"scrobbles.p.more":                                "",
		"plays.p.u.1":                                     "host operator",
		"deadplays.p.u.1":                                 "host operator",
		"navidrome.subsonic":                              "host",
		"navidrome.artwork":                               "host",
		"navidrome.other":                                 "",
		"_INBOX.of.somebody":                              "host",
		"_INBOX_navidrome.of.somebody":                    "", // answers come by way of its account
		"_R_.of.somebody":                                 "host",
		"_INBOX_pluginhost.of.somebody":                   "host",
		subjects.CoreInboxPrefix + ".of.somebody":         "",
		"_INBOX_operator.of.somebody":                     "",
		"somewhere":                                       "",
		"$KV.pluginhost-state.leader":                     "host",
		"$KV.pluginhost-state.replica.r":                  "host",
		"$KV.pluginhost-state.artwork.key":                "host operator",
		"$KV.pluginhost-state.generation.key":             "host operator",
		"$KV.pluginhost-state.package.p":                  "host operator",
		"$KV.pluginhost-state.removed.p":                  "host",
		"$KV.pluginhost-cache.p.k":                        "host operator",
		"$KV.pluginhost-schedules.p.k":                    "host operator",
		"$KV.pluginhost-queues.queue.p.u":                 "host operator",
		"$KV.pluginhost-tokens.k":                         "host operator",
		"$KV.other.k":                                     "",
		"$O.pluginhost-plugins.C.x":                       "host operator",
		"$O.other.C.x":                                    "",
		"$JS.API.INFO":                                    "host operator",
		"$JS.API.STREAM.NAMES":                            "operator",
		"$JS.API.STREAM.LIST":                             "operator",
		"$JS.API.STREAM.CREATE." + state:                  "host",
		"$JS.API.STREAM.UPDATE." + state:                  "host operator",
		"$JS.API.STREAM.INFO." + state:                    "host operator",
		"$JS.API.STREAM.PURGE." + cache:                   "host operator",
		"$JS.API.STREAM.DELETE." + state:                  "operator",
		"$JS.API.STREAM.DELETE." + cache:                  "operator",
		"$JS.API.STREAM.MSG.GET." + state:                 "host operator",
		"$JS.API.STREAM.MSG.DELETE." + state:              "host",
		"$JS.API.STREAM.MSG.DELETE.PLUGINHOST_PLAYS":      "host operator",
		"$JS.API.STREAM.MSG.DELETE.PLUGINHOST_DEAD_PLAYS": "host operator",
		"$JS.API.STREAM.MSG.DELETE.PLUGINHOST_SCROBBLES":  "host",
		"$JS.API.STREAM.MSG.GET.PLUGINHOST_PLAYS":         "host operator",
		"$JS.API.STREAM.PURGE.PLUGINHOST_DEAD_PLAYS":      "host operator",
		"$JS.API.STREAM.SNAPSHOT." + state:                "",
		"$JS.API.STREAM.RESTORE." + state:                 "",
		"$JS.API.STREAM.PEER.REMOVE." + state:             "",
		"$JS.API.STREAM.LEADER.STEPDOWN." + state:         "",
		"$JS.API.META.LEADER.STEPDOWN":                    "",
		"$JS.API.SERVER.REMOVE":                           "",
		"$JS.API.ACCOUNT.PURGE.PLUGINHOST":                "",
		"$JS.API.DIRECT.GET." + state + ".$KV.x":          "host",
		"$JS.API.DIRECT.GET." + schedules + ".$KV.x":      "host operator",
		"$JS.API.CONSUMER.CREATE." + state + ".c.x":       "host",
		"$JS.API.CONSUMER.CREATE." + cache + ".c.x":       "host operator",
		"$JS.API.CONSUMER.DELETE." + schedules + ".c":     "host operator",
		"$JS.API.CONSUMER.CREATE." + queues + ".c.x":      "host operator",
		"$JS.API.CONSUMER.DELETE." + tokens + ".c":        "host operator",
		"$JS.API.CONSUMER.CREATE.PLUGINHOST_PLAYS.c":      "host operator",
		"$JS.API.CONSUMER.MSG.NEXT.PLUGINHOST_PLAYS.c":    "host",
		"$JS.API.CONSUMER.DELETE.PLUGINHOST_DEAD_PLAYS.c": "host operator",
		"$JS.API.CONSUMER.CREATE.PLUGINHOST_SCROBBLES.c":  "host",
		"$JS.API.CONSUMER.CREATE.PLUGINHOST_FIRES.c":      "host",
		"$JS.API.CONSUMER.MSG.NEXT.PLUGINHOST_FIRES.c":    "host",
		"$JS.ACK.PLUGINHOST_FIRES.c.1.2.3.4.5":            "host",
		"$JS.FC." + state + ".c.x":                        "host",
		"$JS.FC." + cache + ".c.x":                        "host operator",
		"$JS.FC." + queues + ".c.x":                       "host operator",
		"$JS.FC." + tokens + ".c.x":                       "host operator",
		"$JS.FC.PLUGINHOST_PLAYS.c.x":                     "host operator",
		"$JS.FC.PLUGINHOST_DEAD_PLAYS.c.x":                "host operator",
		"$SYS.REQ.SERVER.PING":                            "",
	} {
		for _, user := range users {
			conn := connectAs(t, as(user))
			if err := conn.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			if got, want := !refused(t, conn), slices.Contains(strings.Fields(who), user); got != want {
				t.Errorf("%s publishes on %s: allowed %t, want %t", user, subject, got, want)
			}
			conn.Close()
		}
	}
}

func TestPermissionToSubscribe(t *testing.T) {
	as := testenv.DeployedNATS(t)
	for _, c := range []struct{ subject, queue, who string }{
		{">", "", ""},
		{"*.>", "", ""},
		{"plugins.p.*", subjects.QueueGroup, "host"},
		{"plugins.p.callback.*", subjects.QueueGroup, "host"},
		{"plugins.p.*", "", ""},
		{"plugins.>", "another", ""},
		{"pluginhost.>", "", ""},
		{"pluginhost.ctl.status", "", "host"},
		{"pluginhost.ctl.info.*", "", "host"},
		{"pluginhost.event.>", "", "operator"},
		{"pluginhost.event.loaded.*", "", "host navidrome operator"},
		{"pluginhost.event.unloaded.*", "", "host navidrome operator"},
		{"pluginhost.event.output.*", "", "operator"},
		{"pluginhost.event.scrobble_dead.*", "", "operator"},
		{"pluginhost.socket.p.c", "", "host"},
		{subjects.DoorInboxPrefix + ".>", "", "host"},
		{"$SRV.PING", "", "host"},
		{"navidrome.subsonic", subjects.NavidromeGroup, "navidrome"},
		{"navidrome.artwork", subjects.NavidromeGroup, "navidrome"},
		{"navidrome.subsonic", "", ""},
		{"navidrome.subsonic", "another", ""},
		{"navidrome.>", subjects.NavidromeGroup, ""},
		{"fires.>", "", ""},
		{"scrobbles", "", ""},
		{"scrobbles.>", "", ""},
		{"plays.>", "", ""},
		{"deadplays.>", "", ""},
		{"_INBOX.>", "", "operator"},
		{"_INBOX_navidrome.>", "", "navidrome"},
		{subjects.InboxPrefix + ".>", "", "host"},
		{subjects.CoreInboxPrefix + ".of.>", "", "host"},
		{"*.of.somebody", "", ""},
		{"$KV.pluginhost-state.>", "", ""},
		{"$KV.pluginhost-cache.>", "", ""},
		{"$KV.pluginhost-schedules.>", "", ""},
		{"$KV.pluginhost-queues.>", "", ""},
		{"$KV.pluginhost-tokens.>", "", ""},
		{"_R_.>", "", ""},
		{"$O.>", "", ""},
		{"$JS.API.>", "", ""},
		{"$JS.ACK.>", "", ""},
		{"$JS.EVENT.>", "", ""},
		{"$SYS.>", "", ""},
	} {
		for _, user := range users {
			conn := connectAs(t, as(user))
			if _, err := conn.QueueSubscribeSync(c.subject, c.queue); err != nil {
				t.Fatal(err)
			}
			if got, want := !refused(t, conn), slices.Contains(strings.Fields(c.who), user); got != want {
				t.Errorf("%s subscribes %s %s: allowed %t, want %t", user, c.subject, c.queue, got, want)
			}
			conn.Close()
		}
	}
}

// A request from a host may be answered once, on its own reply subject.
func TestPermissionOfNavidromeToReply(t *testing.T) {
	as := testenv.DeployedNATS(t)
	host := connectAs(t, as("host"), nats.CustomInboxPrefix(subjects.InboxPrefix))
	navidrome := connectAs(t, as("navidrome"))
	requests, err := navidrome.QueueSubscribeSync(subjects.NavidromeSubsonic, subjects.NavidromeGroup)
	if err != nil || refused(t, navidrome) {
		t.Fatal(err, navidrome.LastError())
	}
	inbox := host.NewInbox()
	answers, err := host.SubscribeSync(inbox)
	if err == nil {
		err = host.PublishRequest(subjects.NavidromeSubsonic, inbox, nil)
	}
	if err != nil || refused(t, host) {
		t.Fatal(err, host.LastError())
	}
	request, err := requests.NextMsg(wait)
	if err != nil {
		t.Fatal(err)
	}
	if err := request.Respond([]byte("answer")); err != nil || refused(t, navidrome) {
		t.Fatal(err, navidrome.LastError())
	}
	if answer, err := answers.NextMsg(wait); err != nil || string(answer.Data) != "answer" {
		t.Fatal(answer, err)
	}
	if err := request.Respond([]byte("another")); err != nil || !refused(t, navidrome) {
		t.Error("it may answer again", err)
	}
}

// A server that traces a message publishes on a subject that the message names.
func TestPermissionToPublishIsThatToHaveTracesPublished(t *testing.T) {
	as := testenv.DeployedNATS(t)
	host := connectAs(t, as("host"))
	victim, err := host.SubscribeSync("pluginhost.ctl.drain")
	if err != nil || refused(t, host) {
		t.Fatal(err, host.LastError())
	}
	navidrome := connectAs(t, as("navidrome"))
	for _, msg := range []*nats.Msg{
		{Subject: "plugins.p.get", Header: nats.Header{"Nats-Trace-Dest": {"pluginhost.ctl.drain"}}},
		{Subject: "pluginhost.ctl.info.p"},
	} {
		if err := navidrome.PublishMsg(msg); err != nil {
			t.Fatal(err)
		}
	}
	if !refused(t, navidrome) {
		t.Error("it may name any subject for traces")
	}
	if err := host.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := victim.Pending(); n != 0 || err != nil {
		t.Error("a trace was published", n, err)
	}
}

func TestNobodyGetsInWithoutAPassword(t *testing.T) {
	as := testenv.DeployedNATS(t)
	_, address, _ := strings.Cut(as("host"), "@")
	for _, login := range []string{"", "host@", "host:@", "host:host@", "operator:@", "navidrome:@", "system:@", "host:secret-of-operator@"} {
		conn, err := nats.Connect("nats://" + login + address)
		if err == nil {
			conn.Close()
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%q: %v", login, err)
		}
	}
}

// Generations are public, and tell nothing of the settings to whoever does not know the
// key: Navidrome's user must not get it on any of the ways that lead to a record.
func TestNavidromeDoesNotGetTheKeyOfGenerations(t *testing.T) {
	as := testenv.DeployedNATS(t)
	testenv.Start(t, testenv.Config(t, as("host"), t.TempDir()), nil)
	const stream, key = "KV_" + subjects.StateBucket, "$KV." + subjects.StateBucket + "." + subjects.GenerationKey
	wanted := func(format string) []byte { return []byte(strings.ReplaceAll(format, "KEY", key)) }
	ask := func(conn *nats.Conn, subject string, body []byte) ([]byte, error) {
		reply, err := conn.Request(subject, body, asked)
		if err != nil {
			return nil, err
		}
		return append(reply.Data, reply.Header.Get("Nats-Subject")...), nil
	}
	read := "$JS.API.STREAM.MSG.GET." + stream
	// The key is there, and a user that may ask gets it.
	if record, err := ask(connectAs(t, as("operator")), read, wanted(`{"last_by_subj":"KEY"}`)); err != nil || !strings.Contains(string(record), key) {
		t.Fatalf("%q, %v", record, err)
	}
	for name, try := range map[string]func(*nats.Conn) ([]byte, error){
		"the API":            func(c *nats.Conn) ([]byte, error) { return ask(c, read, wanted(`{"last_by_subj":"KEY"}`)) },
		"the API, by number": func(c *nats.Conn) ([]byte, error) { return ask(c, read, wanted(`{"seq":1}`)) },
		"a direct get":       func(c *nats.Conn) ([]byte, error) { return ask(c, "$JS.API.DIRECT.GET."+stream+"."+key, nil) },
		"another direct get": func(c *nats.Conn) ([]byte, error) {
			return ask(c, "$JS.API.DIRECT.GET."+stream, wanted(`{"last_by_subj":"KEY"}`))
		},
		"the names of keys": func(c *nats.Conn) ([]byte, error) {
			return ask(c, "$JS.API.STREAM.INFO."+stream, wanted(`{"subjects_filter":">"}`))
		},
		"a copy of the state": func(c *nats.Conn) ([]byte, error) {
			return ask(c, "$JS.API.STREAM.SNAPSHOT."+stream, wanted(`{"deliver_subject":"_INBOX_navidrome.x"}`))
		},
		"a consumer that pushes": func(c *nats.Conn) ([]byte, error) {
			return ask(c, "$JS.API.CONSUMER.CREATE."+stream, wanted(`{"stream_name":"`+stream+`","config":{"deliver_subject":"_INBOX_navidrome.x","filter_subject":"KEY","ack_policy":"none"}}`))
		},
		"a consumer of its name": func(c *nats.Conn) ([]byte, error) {
			return ask(c, "$JS.API.CONSUMER.CREATE."+stream+".c."+key, wanted(`{"stream_name":"`+stream+`","config":{"name":"c","filter_subject":"KEY","ack_policy":"none"}}`))
		},
		"a stream of its own": func(c *nats.Conn) ([]byte, error) {
			return ask(c, "$JS.API.STREAM.CREATE.mine", wanted(`{"name":"mine","sources":[{"name":"`+stream+`"}]}`))
		},
		"a subscription": func(c *nats.Conn) ([]byte, error) { return hear(c, "$KV.>", "") },
		"a subscription in a queue group": func(c *nats.Conn) ([]byte, error) {
			return hear(c, "$KV."+subjects.StateBucket+".>", subjects.NavidromeGroup)
		},
		"what hosts are answered": func(c *nats.Conn) ([]byte, error) { return hear(c, subjects.InboxPrefix+".>", "") },
	} {
		t.Run(name, func(t *testing.T) {
			conn := connectAs(t, as("navidrome"), nats.CustomInboxPrefix("_INBOX_navidrome"))
			if got, err := try(conn); err == nil {
				t.Errorf("it gets %.200q", got)
			}
			if !refused(t, conn) {
				t.Error("nothing was refused")
			}
		})
	}
}

// asked is how long a request waits that the server drops.
const asked = 200 * time.Millisecond

// hear returns the first message of a subject.
func hear(conn *nats.Conn, subject, queue string) ([]byte, error) {
	subscription, err := conn.QueueSubscribeSync(subject, queue)
	if err != nil {
		return nil, err
	}
	msg, err := subscription.NextMsg(asked)
	if err != nil {
		return nil, err
	}
	return msg.Data, nil
}
