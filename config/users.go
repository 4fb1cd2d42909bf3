package config

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pluginhost/pluginhost/plugin"
)

const (
	// usersSection has a section for each user.
	usersSection = "Users"
	maxUsers     = 10_000
	// maxUserFaults is how many faults of users are told, as what is wrong with one is often wrong with all.
	maxUserFaults = 100
)

// userKey is the key of a setting of the user at an index, whom operators count from 1.
func userKey(index int, name string) string {
	return fmt.Sprintf("[[%s]] %d: %s", usersSection, index+1, keyPart(name))
}

// addUsers checks [[Users]]. Only the file has users, so they are not merged with anything.
func (l *loader) addUsers(written any) {
	const key = "[[" + usersSection + "]]"
	l.origin[key] = l.inFile(key)
	list, isList := written.([]any)
	if !isList {
		l.structural(l.inFile(usersSection), "%s is not allowed; each user is a section of a list, written as %s", kindOf(written), key)
		return
	}
	if len(list) > maxUsers {
		l.fault(key, l.inFile(key), tooManyUsers(len(list)))
		return
	}
	for i, one := range list {
		if _, isTable := one.(map[string]any); !isTable {
			l.structural(l.inFile(usersSection), "entry %d is %s; each user is a section of a list, written as %s", i+1, kindOf(one), key)
			return
		}
	}
	before := len(l.faults)
	for i, one := range list {
		if len(l.faults)-before >= maxUserFaults {
			l.fault(key, l.inFile(key), moreUserFaults())
			return
		}
		table, _ := one.(map[string]any)
		l.config.Users = append(l.config.Users, l.user(i, table))
	}
}

// user reads one section [[Users]].
func (l *loader) user(index int, table map[string]any) (u User) {
	known := userSettings(&u)
	names, _ := namesIn(known, nil)
	for _, name := range names {
		key := userKey(index, name)
		l.origin[key] = l.inFile(key)
	}
	seen := map[string]string{}
	for _, written := range slices.Sorted(maps.Keys(table)) {
		place := l.inFile(userKey(index, written))
		name, ok := sameName(names, written)
		twin, twice := seen[name]
		switch {
		case !ok:
			l.structural(place, "%s", unknownText("key", written, shownAs(names)))
		case twice:
			l.structural(place, "the same as %s, as case does not matter here; keep one of them", twin)
		default:
			seen[name] = written
			s := known[slices.Index(names, name)]
			converted, problem := s.convert(table[written])
			if problem != "" {
				key := userKey(index, name)
				l.fault(key, l.inFile(key), problem)
			} else {
				s.set(converted)
			}
		}
	}
	return u
}

func (c *Config) checkUsers(f *faults) {
	const key = "[[" + usersSection + "]]"
	if len(c.Users) > maxUsers {
		f.add(key, "%s", tooManyUsers(len(c.Users)))
		return
	}
	names, ids := map[string]int{}, map[string]int{} // to the index of the first user
	before := len(f.found)
	for i := range c.Users {
		if len(f.found)-before >= maxUserFaults {
			f.add(key, "%s", moreUserFaults())
			return
		}
		c.checkUser(f, i)
		user := &c.Users[i]
		folded := plugin.FoldID(user.Name)
		if first, twice := names[folded]; twice && user.Name != "" {
			f.clash(userKey(i, "Name"), userKey(first, "Name"), "%s is the same user as %s of [[%s]] %d, as case does not matter here; keep one of them",
				quote(user.Name), quote(c.Users[first].Name), usersSection, first+1)
		} else {
			names[folded] = i
		}
		if first, twice := ids[user.ID]; twice && user.ID != "" {
			f.clash(userKey(i, "ID"), userKey(first, "ID"), "%s is the ID of %s of [[%s]] %d as well; each user has another one",
				quote(user.ID), quote(c.Users[first].Name), usersSection, first+1)
		} else {
			ids[user.ID] = i
		}
	}
}

// checkUser looks at one user alone.
func (c *Config) checkUser(f *faults, index int) {
	user := c.Users[index] // a copy, as its settings are bound to it
	for _, s := range userSettings(&user) {
		key := userKey(index, s.key())
		switch {
		case s.key() == "Name" && user.Name == "", s.key() == "ID" && user.ID == "":
			f.add(key, "it is missing; every user needs Name, to log in with, and ID, of the music server")
		default:
			s.check(f, key)
		}
	}
}

func tooManyUsers(count int) string {
	return fmt.Sprintf("%d users are too many; it takes up to %d", count, maxUsers)
}

func moreUserFaults() string {
	return fmt.Sprintf("more may be wrong: these are the first %d faults of users", maxUserFaults)
}
