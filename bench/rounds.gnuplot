# SPDX-License-Identifier: GPL-2.0-or-later
# Memory that each round of a migration found written to. Usage, in bench/results: gnuplot ../rounds.gnuplot
set terminal pngcairo size 900,450 font ',11'
set output 'rounds.png'
set datafile separator ','
set title '64 MiB, pre-copy in a Debian 13 node (6.12, TCG): what each round had to send'
set xlabel 'round; the last point of each line is the dump while it stood still'
set ylabel 'MiB'
set xtics 1
set xrange [0.8:*]
set yrange [0:*]
set grid ytics
set key outside
plot for [m in 'idle slow heavy'] '< grep ^'.m.', rounds.csv' using 2:($3/1048576) with linespoints pt 7 title m
