package wire_test

import "strings"

// difference are the lines that only one of two texts has, below the title of their step.
func difference(want, got string) string {
	wanted, gotten := strings.Split(want, "\n"), strings.Split(got, "\n")
	// common is how many lines the rests of both texts have in common, in the same order.
	common := make([][]int, len(wanted)+1)
	for i := range common {
		common[i] = make([]int, len(gotten)+1)
	}
	for i := len(wanted) - 1; i >= 0; i-- {
		for j := len(gotten) - 1; j >= 0; j-- {
			if wanted[i] == gotten[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var text strings.Builder
	title := ""
	differs := func(line string) {
		text.WriteString(title + line + "\n")
		title = ""
	}
	i, j := 0, 0
	for i < len(wanted) || j < len(gotten) {
		switch {
		case i < len(wanted) && j < len(gotten) && wanted[i] == gotten[j]:
			if strings.HasPrefix(wanted[i], "== ") {
				title = wanted[i] + "\n"
			}
			i, j = i+1, j+1
		case j == len(gotten) || i < len(wanted) && common[i+1][j] >= common[i][j+1]:
			differs("- " + wanted[i])
			i++
		default:
			differs("+ " + gotten[j])
			j++
		}
	}
	return text.String()
}
