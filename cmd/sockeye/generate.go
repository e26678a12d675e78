package main

import "github.com/spf13/cobra"

func newGenerateCommand() *cobra.Command {
	return &cobra.Command{Use: "generate", Short: "Write the files that are generated from code"}
}
