package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/pelletier/go-toml/v2"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// value is a field of a Config with what it takes: a field of one of the kinds below.
type value interface {
	// convert turns a value of the file into what set takes. Otherwise problem says what is wrong with it, without
	// quoting text that may be a secret.
	convert(written any) (converted any, problem string)
	// set takes the text of a flag or variable or what convert returned; what is of another type changes nothing.
	set(converted any)
	// reset sets the default.
	reset()
	// check tells f if what is in the field is not allowed.
	check(f *faults, key string)
	// keep takes over what is in the same field of another Config, and says whether it was different.
	keep(other value) bool
	// isForPlugins says whether one plugin can have its own, which forPlugin sets and checks, if it is there, and override
	// lays over the field.
	isForPlugins() bool
	forPlugin() value
	override()
	// shown is the default as a file writes it, and limits are bounds in words, which docs/operations.md has: a test compares
	// them. Empty is none.
	shown() string
	limits() string
}

// field implements value.
type field[T any] struct {
	at       *T
	own      **T // where the value of one plugin is, nil for a setting of all plugins together
	fallback T
	kind     kind[T]
	allowed  func(f *faults, key string, v T)
	bounds   string
}

// kind is how values of a type are written, and which are the same.
type kind[T any] struct {
	read  func(any) (T, string)
	write func(T) string
	equal func(a, b T) bool
}

func (f field[T]) convert(written any) (any, string) { return f.kind.read(written) }

func (f field[T]) set(converted any) {
	if typed, ok := converted.(T); ok {
		*f.at = typed
	}
}

func (f field[T]) reset() { *f.at = f.fallback }

func (f field[T]) check(found *faults, key string) { f.allowed(found, key, *f.at) }

func (f field[T]) keep(other value) bool {
	same, ok := other.(field[T])
	if !ok || f.kind.equal(*f.at, *same.at) {
		return false
	}
	*f.at = *same.at
	return true
}

func (f field[T]) isForPlugins() bool { return f.own != nil }

func (f field[T]) forPlugin() value { return ownField[T]{f} }

func (f field[T]) override() {
	if f.own != nil && *f.own != nil {
		*f.at = **f.own
	}
}

func (f field[T]) shown() string { return f.kind.write(f.fallback) }

func (f field[T]) limits() string { return f.bounds }

// orOwn lets one plugin have its own value.
func (f field[T]) orOwn(own **T) field[T] {
	f.own = own
	return f
}

// within replaces what the field takes, of which bounds tells in words.
func (f field[T]) within(bounds string, allowed func(f *faults, key string, v T)) field[T] {
	f.bounds, f.allowed = bounds, allowed
	return f
}

// bounded tells of the bounds in words alone.
func (f field[T]) bounded(bounds string) field[T] {
	f.bounds = bounds
	return f
}

// ownField is a field for one plugin, which need not have a value.
type ownField[T any] struct{ field[T] }

func (o ownField[T]) set(converted any) {
	if typed, ok := converted.(T); ok {
		*o.own = &typed
	}
}

func (o ownField[T]) check(found *faults, key string) {
	if *o.own != nil {
		o.allowed(found, key, **o.own)
	}
}

func text(at *string, fallback string, allowed func(f *faults, key, v string)) field[string] {
	return field[string]{at: at, fallback: fallback, allowed: allowed, kind: kind[string]{readText, writeText, isSame[string]}}
}

// choice takes one of a few texts; the first is the default.
func choice(at *string, choices ...string) field[string] {
	quoted := make([]string, len(choices))
	for i, one := range choices {
		quoted[i] = strconv.Quote(one)
	}
	return text(at, choices[0], func(f *faults, key, v string) { f.choice(key, v, choices) }).
		bounded(strings.Join(quoted, ", "))
}

func toggle(at *bool, fallback bool) field[bool] {
	return field[bool]{at: at, fallback: fallback, allowed: func(*faults, string, bool) {}, kind: kind[bool]{readBool, strconv.FormatBool, isSame[bool]}}
}

func count(at *int, fallback, least, most int) field[int] {
	return field[int]{
		at: at, fallback: fallback, kind: kind[int]{readCount, strconv.Itoa, isSame[int]},
		allowed: func(f *faults, key string, v int) { f.count(key, v, least, most) },
		bounds:  humanize.Comma(int64(least)) + "–" + humanize.Comma(int64(most)),
	}
}

// size is a number of bytes above 0.
func size(at *int64, fallback int64) field[int64] {
	return field[int64]{
		at: at, fallback: fallback, kind: kind[int64]{readSize, writeSize, isSame[int64]},
		allowed: func(f *faults, key string, v int64) { f.size(key, v, fallback) },
		bounds:  "above 0",
	}
}

func duration(at *time.Duration, fallback time.Duration) field[time.Duration] {
	return field[time.Duration]{at: at, fallback: fallback, kind: kind[time.Duration]{readDuration, writeDuration, isSame[time.Duration]}, allowed: (*faults).duration, bounds: "above 0"}
}

// list is up to most texts, none by default; each is checked by itself.
func list(at *[]string, most int, bounds string, allowed func(f *faults, key, entry string)) field[[]string] {
	return field[[]string]{
		at: at, kind: kind[[]string]{readList, writeList, slices.Equal[[]string]},
		allowed: func(f *faults, key string, v []string) { f.list(key, v, most, allowed) },
		bounds:  "up to " + humanize.Comma(int64(most)) + " " + bounds,
	}
}

func isSame[T comparable](a, b T) bool { return a == b }

func readText(written any) (string, string) {
	if text, ok := written.(string); ok {
		return text, ""
	}
	return "", kindOf(written) + " is not allowed; it takes a string in quotes"
}

func readBool(written any) (bool, string) {
	if yes, ok := written.(bool); ok {
		return yes, ""
	}
	return false, kindOf(written) + " is not allowed; it takes true or false without quotes"
}

func readCount(written any) (int, string) {
	n, ok := written.(int64)
	switch {
	case !ok:
		return 0, kindOf(written) + " is not allowed; it takes a whole number without quotes"
	case n < math.MinInt32 || n > math.MaxInt32:
		return 0, fmt.Sprintf("%d is out of range; it takes a small whole number", n)
	}
	return int(n), ""
}

func readSize(written any) (int64, string) {
	switch size := written.(type) {
	case int64:
		return size, ""
	case string:
		// A comma would be taken for a thousands separator: "1,5GB" would mean 15 GB.
		bytes, err := humanize.ParseBytes(size)
		if err != nil || bytes > math.MaxInt64 || strings.ContainsRune(size, ',') {
			return 0, excerpt.Quoted(size) + " is no size; it takes one such as \"100MB\" (1000 * 1000 bytes) or \"64MiB\" (1024 * 1024)"
		}
		return int64(bytes), ""
	}
	return 0, kindOf(written) + " is not allowed; it takes a size such as \"100MB\", or a whole number of bytes"
}

func readDuration(written any) (time.Duration, string) {
	text, ok := written.(string)
	if !ok {
		return 0, kindOf(written) + " is not allowed; it takes a duration in quotes, such as \"10s\" or \"1m30s\""
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, excerpt.Quoted(text) + " is no duration; it takes one such as \"10s\" or \"1m30s\""
	}
	return d, ""
}

func readList(written any) ([]string, string) {
	entries, ok := written.([]any)
	if !ok {
		return nil, kindOf(written) + " is not allowed; it takes a list of strings, written as [\"one\", \"two\"]"
	}
	texts := make([]string, len(entries))
	for i, entry := range entries {
		if texts[i], ok = entry.(string); !ok {
			return nil, fmt.Sprintf("entry %d is %s; it takes a list of strings, written as [\"one\", \"two\"]", i+1, kindOf(entry))
		}
	}
	return texts, ""
}

// writeText leaves an empty text empty, which is none.
func writeText(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(text)
}

// writeSize writes a size in the largest unit in which it is a whole number.
func writeSize(bytes int64) string { return strconv.Quote(inUnits(bytes)) }

func inUnits(bytes int64) string {
	units := []string{"B", "kB", "MB", "GB"}
	unit := 0
	for ; bytes != 0 && bytes%1000 == 0 && unit < len(units)-1; unit++ {
		bytes /= 1000
	}
	return strconv.FormatInt(bytes, 10) + units[unit]
}

// writeList leaves an empty list empty, which is none.
func writeList(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// writeDuration writes whole minutes without seconds, and whole hours without minutes.
func writeDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return strconv.Quote(text)
}

// kindOf names the kind of a TOML value.
func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "a whole number"
	case float64:
		return "a decimal number"
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	case time.Time, toml.LocalDate, toml.LocalDateTime, toml.LocalTime:
		return "a date or time"
	}
	return fmt.Sprintf("of type %T", value)
}
