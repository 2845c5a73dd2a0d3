"""What is shown of trained models: results, cards, tables, contact sheets, and the binaries that publish them."""
