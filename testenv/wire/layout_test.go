package wire_test

import "strings"

// lineWidth is how long a line with a JSON value may be.
const lineWidth = 200

// layout writes each line that is JSON with as few lines as fit: values in their order, and what
// names stand for in the place of some.
func layout(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		value := strings.TrimLeft(line, " ")
		margin := line[:len(line)-len(value)]
		value = strings.TrimSuffix(value, "\n")
		if strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") {
			value = strings.ReplaceAll(layValue(value, lineWidth), "\n", "\n"+margin)
		}
		out.WriteString(margin + value + "\n")
	}
	return out.String()
}

// layValue is a value on one line if that has the width, else on lines for its parts.
func layValue(value string, width int) string {
	if len(value) <= width || value[0] != '{' && value[0] != '[' {
		return value
	}
	var lines []string
	open := false // whether the last line takes more parts
	for _, part := range parts(value[1 : len(value)-1]) {
		if name, inner, found := strings.Cut(part, `":`); found && value[0] == '{' {
			part = name + `":` + layValue(inner, width-1)
		} else {
			part = layValue(part, width-1)
		}
		short := !strings.Contains(part, "\n")
		if last := len(lines) - 1; open && short && len(lines[last])+len(part) < width {
			lines[last] += "," + part
		} else {
			lines = append(lines, part)
		}
		open = short
	}
	return value[:1] + strings.ReplaceAll(strings.Join(lines, ",\n"), "\n", "\n ") + value[len(value)-1:]
}

// parts are what commas separate in an object or an array.
func parts(inner string) []string {
	var all []string
	begin, depth, quoted := 0, 0, false
	for i := 0; i < len(inner); i++ {
		switch char := inner[i]; {
		case quoted && char == '\\':
			i++
		case char == '"':
			quoted = !quoted
		case quoted:
		case char == '{' || char == '[':
			depth++
		case char == '}' || char == ']':
			depth--
		case char == ',' && depth == 0:
			all = append(all, inner[begin:i])
			begin = i + 1
		}
	}
	return append(all, inner[begin:])
}
