"""Driver of the interoperability scenarios: installs clients, starts servers, runs scenarios, reports."""
