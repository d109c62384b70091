// Loads a compose file as `docker compose --env-file ENV -f FILE config` does, with the library that it is made of, and prints the project as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: compose ENV_FILE COMPOSE_FILE"))
	}
	// Options are applied in this order: the profiles are named in the file of variables. The process's own variables are left out on purpose.
	options, err := cli.NewProjectOptions(os.Args[2:],
		cli.WithEnvFiles(os.Args[1]),
		cli.WithDotEnv,
		cli.WithDefaultProfiles(),
	)
	if err != nil {
		fail(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		fail(err)
	}
	out, err := json.MarshalIndent(project, "", "  ")
	if err != nil {
		fail(err)
	}
	fmt.Println(string(out))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
