"""What `data.prepare` does, command by command: imports brought into a workspace, and the dataset composed anew."""
