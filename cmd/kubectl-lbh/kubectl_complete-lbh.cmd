@echo off
rem kubectl runs the program of this name in PATH to complete `kubectl lbh`.
kubectl-lbh.exe __complete %*
