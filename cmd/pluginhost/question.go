package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// errCanceled says that a question was answered with no.
var errCanceled = errors.New("operation canceled, nothing is changed")

// ask asks a question, unless --yes has answered it. Everything but yes is errCanceled,
// also that nobody is there to answer.
func ask(cmd *cobra.Command, question string) error {
	if yes, _ := cmd.Flags().GetBool("yes"); yes {
		return nil
	}
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s (y/N): ", question); err != nil {
		return err
	}
	answers := make(chan string, 1)
	go func() { // a read from a terminal cannot be stopped; it ends with the process
		answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		answers <- answer
	}()
	select {
	case answer := <-answers:
		if answer == "" {
			return fmt.Errorf("%w: there is nobody to ask, --yes answers with yes", errCanceled)
		}
		switch strings.ToLower(strings.TrimSpace(answer)) {
		case "y", "yes":
			return nil
		}
		return errCanceled
	case <-cmd.Context().Done():
		return errCanceled
	}
}
