# How a job is started, asked after, ended and measured, whatever launches it. A launcher NAME is a part of the program
# with five functions, and a job keeps the name of its launcher. A new one raises $version_ours, so that an older program
# leaves its jobs alone.
#
#   NAME_start DIRECTORY MODE ID -> $supervisor, the identity of the supervisor: nothing if none was started, and then
#                                 $launch_errors is a file that says why; and $launch_warning
#   NAME_lives IDENTITY...        the words of that; 0 as long as the supervisor may live
#   NAME_stop DIRECTORY           ends every process; 1 with $stop_left if something is still there
#   NAME_interrupt DIRECTORY      as Ctrl+C in a terminal, and then the same
#   NAME_usage DIRECTORY          replies what a job uses whose supervisor lives

launcher_of() { # DIRECTORY -> $launcher
  first_line "$1/launcher"
  launcher=${line:-direct} # 0.1.0 had no other, shutdown commands and doctor's canary need none
}

launch() { # DIRECTORY MODE ID
  launcher_of "$1"
  "${launcher}_start" "$@"
}

job_lives() { # DIRECTORY IDENTITY...
  launcher_of "$1"
  shift
  "${launcher}_lives" "$@"
}

stop_job() { # DIRECTORY; 1 with $stop_left
  launcher_of "$1"
  "${launcher}_stop" "$1"
}

interrupt_job() { # DIRECTORY; 1 with $stop_left
  launcher_of "$1"
  "${launcher}_interrupt" "$1"
}

job_usage() { # DIRECTORY
  launcher_of "$1"
  "${launcher}_usage" "$1"
}
