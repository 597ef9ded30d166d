package main

import (
	"os"

	"github.com/spf13/cobra"

	"sallyport/scanner/archive"
	"sallyport/scanner/filetype"
	"sallyport/scanner/image"
	"sallyport/scanner/sandbox"
)

// sandboxName is the command that the server starts itself with, to parse what it
// was sent in a child of few rights. It is nothing to run by hand.
const sandboxName = "sandbox"

// jobs is what a sandboxed child can do.
func jobs() map[string]sandbox.Job {
	return map[string]sandbox.Job{
		archive.JobName:  archive.Job,
		filetype.JobName: filetype.Job,
		image.JobName:    image.Job,
	}
}

func (a *app) sandboxCommand() *cobra.Command {
	return &cobra.Command{
		Use:    sandboxName,
		Short:  "Parse for a server that started this",
		Hidden: true,
		Args:   cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			os.Exit(sandbox.Main(jobs()))
		},
	}
}
