package main

import (
	"fmt"
	"strings"
)

// card is the body of a request to a Discord webhook.
type card struct {
	Username string  `json:"username"`
	Embeds   []embed `json:"embeds"`
	// Mentions allows none: titles of songs must not ping anybody.
	Mentions mentions `json:"allowed_mentions"`
}

type embed struct {
	Title       string     `json:"title"`
	Description string     `json:"description,omitempty"`
	Thumbnail   *thumbnail `json:"thumbnail,omitempty"`
	Footer      *footer    `json:"footer,omitempty"`
}

type (
	thumbnail struct {
		URL string `json:"url"`
	}
	footer struct {
		Text string `json:"text"`
	}
	mentions struct {
		Parse []string `json:"parse"`
	}
)

// newCard lays out a song; cover may be empty.
func newCard(username string, what song, cover string) card {
	e := embed{Title: what.Title}
	if what.Artist != "" {
		e.Title = what.Artist + " – " + what.Title
	}
	e.Description = what.Album
	if what.Year > 0 {
		e.Description = strings.TrimSpace(fmt.Sprintf("%s (%d)", what.Album, what.Year))
	}
	if cover != "" {
		e.Thumbnail = &thumbnail{cover}
	}
	if what.PlayCount > 0 {
		e.Footer = &footer{fmt.Sprintf("played %d times before", what.PlayCount)}
	}
	if username == "" {
		username = "Navidrome"
	}
	return card{Username: username, Embeds: []embed{e}, Mentions: mentions{Parse: []string{}}}
}
